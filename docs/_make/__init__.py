"""What makes pages and pictures of the site out of the code and of committed files."""
