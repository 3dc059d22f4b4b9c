"""Device profiles: what the files in drivers/ say, how they are found, planned and decoded."""
