#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# timeout: 7200
# tests/fault/survive.sh with KILLS (1 000) kills of the daemon, and with RESTARTS
# (50) times scorpio restart
set -euo pipefail
survive=${SCORPIO_SRC:-.}/tests/fault/survive.sh
KILLS=${KILLS:-1000} bash "$survive"
SURVIVE=restart KILLS=${RESTARTS:-50} bash "$survive"
