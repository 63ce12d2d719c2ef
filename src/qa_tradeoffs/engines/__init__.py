"""What runs a trained network when it serves; asking a checkpoint."""
