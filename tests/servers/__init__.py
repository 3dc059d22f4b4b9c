"""The real servers that the tests start, one module each; none knows anything of the product."""
