"""The checker of annotations that every test runs under: shapes by jaxtyping, types by beartype."""

from beartype import BeartypeConf, beartype

# An int is a float to every type checker (PEP 484); beartype has to be told.
check = beartype(conf=BeartypeConf(is_pep484_tower=True))
