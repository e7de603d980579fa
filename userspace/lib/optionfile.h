/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Options out of a YAML file: a mapping whose keys are the names of options. It knows no
 * option by itself: what there is, and what each takes, is in the rows (options.h).
 *
 *	kernel: vmlinuz			an argument; as it would stand on the command line
 *	no-vpid: true			a flag; false: as if it were not there
 *	debug-exit:			the argument that is implied
 *	disk:				an option that may be repeated: a list, or one item
 *	  - root.img
 *	  - { path: data.img, ro: true }	words: path=data.img,ro
 */
#ifndef THV_LIB_OPTIONFILE_H
#define THV_LIB_OPTIONFILE_H

#include "lib/options.h"

/* Errors name the file, the line and the key */
option_reader optionfile_read;

#endif
