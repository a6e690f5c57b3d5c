"""The edges: parse, call, reply. Errors become exit codes and statuses here and nowhere else."""
