"""What a checkpoint of a suite is said to be."""

ROLES = ("mono", "mixed", "branch", "init", "other")
OF_A_LANGUAGE = ("mono", "branch")  # those that need one
