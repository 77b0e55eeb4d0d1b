# SPDX-License-Identifier: GPL-2.0-only
"""What the lab scenarios are made of. Runs as root in the machine that
scripts/lab.sh boots; nothing here belongs on a machine that anybody uses."""
