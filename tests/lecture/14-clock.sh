#!/bin/sh
# SPDX-License-Identifier: MIT
# A clock whose line is redrawn every second.
ptimer every "${LECTURE_WAIT:-1}" --overlap queue=10 --catchup all --count "${LECTURE_COUNT:-10}" -- sh -c 'printf "\r%s" "$(date +%T)"'; echo
