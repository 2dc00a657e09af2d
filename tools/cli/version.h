/* SPDX-License-Identifier: MIT */
/*
 * version.h - what --version prints, unless the build says otherwise.
 */
#ifndef PCORE_CLI_VERSION_H
#define PCORE_CLI_VERSION_H

#ifndef PCORE_VERSION
#define PCORE_VERSION "0.1.0"
#endif

#endif
