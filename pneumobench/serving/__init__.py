"""A bundle behind a web page and an interface for programs: films come in, numbers go out, nothing is kept."""
