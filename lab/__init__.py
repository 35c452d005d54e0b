"""Servers and processes for development, tests and benches. Nothing in production imports this.

`bin/dev`, the end-to-end tests and the benches all start the product through `lab.product`: what is tested is
what people run.
"""
