"""Conflict: what two or more models' weights do to each other, measured tensor by tensor. A measure is one function."""
