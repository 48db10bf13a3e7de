"""What is noticed: devices that fell silent."""
