"""Records of intake, processing, dispatch and documents: lots, where they were, and what is missing; pure."""
