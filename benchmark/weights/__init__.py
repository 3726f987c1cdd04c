"""Scripts that bring pretrained weights into the form that suites can name."""
