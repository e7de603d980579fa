/* SPDX-License-Identifier: GPL-2.0-only */
/* Native stand-in: sizes by name. */
#ifndef _NATIVE_LINUX_SIZES_H
#define _NATIVE_LINUX_SIZES_H

#define SZ_4K	0x00001000
#define SZ_2M	0x00200000
#define SZ_4M	0x00400000
#define SZ_1G	0x40000000
#define SZ_4G	0x100000000ULL

#endif
