#!/bin/sh
# `tailrace …` for the administrator, with the user, the folder and the settings of the services; install it as
# /usr/local/sbin/tailrace. Values in /etc/tailrace/environment are in single quotes: systemd and this read them alike.

set -eua
TAILRACE_DATA=/var/lib/tailrace
if [ -e /etc/tailrace/environment ]; then . /etc/tailrace/environment; fi
HOME=$TAILRACE_DATA
cd "$TAILRACE_DATA"
exec runuser -u tailrace -- /opt/tailrace/.venv/bin/tailrace "$@"
