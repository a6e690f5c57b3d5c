#!/bin/sh
# Prints the path of a Python 3.11 to 3.13, or one line that says how to get one (exit 1).
# PYTHON=/path/to/python3.12 chooses one by name.
suits() {
    # Executed rather than looked up: a version manager's shim can exist and still refuse.
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

if [ -n "${PYTHON:-}" ]; then
    suits "$PYTHON" && { "$PYTHON" -c 'import sys; print(sys.executable)'; exit 0; }
    echo "PYTHON=$PYTHON is not a working Python 3.11, 3.12 or 3.13; name another one" >&2
    exit 1
fi
for candidate in python3.11 python3.12 python3.13 python3 python \
    "$HOME"/.pyenv/versions/3.11.*/bin/python \
    "$HOME"/.pyenv/versions/3.12.*/bin/python \
    "$HOME"/.pyenv/versions/3.13.*/bin/python; do
    if suits "$candidate"; then
        "$candidate" -c 'import sys; print(sys.executable)'
        exit 0
    fi
done
found=$(python3 --version 2>/dev/null || echo "no python3 at all")
echo "doggo needs Python 3.11, 3.12 or 3.13 and found $found: install one, or run PYTHON=/path/to/it make ..." >&2
exit 1
