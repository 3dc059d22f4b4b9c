"""What is set ON a device, its own parameters: the sheet that says so, and the only place that can write them."""
