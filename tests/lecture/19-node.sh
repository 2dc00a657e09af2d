#!/bin/sh
# SPDX-License-Identifier: MIT
# Start a node of a cluster, and look at its status.
pnode serve --name node-1 ${LECTURE_NODE-} >node.log 2>&1 & until pnode status --json node-1 2>/dev/null | jq -r '.name + " is " + .state' | grep .; do sleep 0.1; done; kill $!; wait $!
