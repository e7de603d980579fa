/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's short integer names, as the interface's structs have them. */
#ifndef THV_LIB_TYPES_H
#define THV_LIB_TYPES_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s64 s64;

#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))
/* The struct whose @member @pointer points to */
#ifndef container_of
#define container_of(pointer, type, member) \
	((type *)((char *)(pointer) - offsetof(type, member)))
#endif
#define ALIGN_UP(x, to)		(((x) + (to) - 1) / (to) * (to))
#define ALIGN_DOWN(x, to)	((x) / (to) * (to))
#define SIZE_1M			(1ULL << 20)
#define SIZE_2M			(2ULL << 20)
#define SIZE_4G			(4ULL << 30)
#define PAGE_BYTES		4096ULL

#endif
