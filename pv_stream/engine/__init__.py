"""The fold of one patient: join, assess, match, diff, composed by advance. Pure."""
