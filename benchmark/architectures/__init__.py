"""What timm has, tried by family."""
