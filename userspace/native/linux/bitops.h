/* SPDX-License-Identifier: GPL-2.0-only */
/* Native stand-in: bit operations; those without underscores are atomic, as in the kernel. */
#ifndef _NATIVE_LINUX_BITOPS_H
#define _NATIVE_LINUX_BITOPS_H

#include <linux/bits.h>

static inline void set_bit(long n, volatile unsigned long *map)
{
	__atomic_fetch_or(map + BIT_WORD(n), BIT_MASK(n), __ATOMIC_RELAXED);
}

static inline void clear_bit(long n, volatile unsigned long *map)
{
	__atomic_fetch_and(map + BIT_WORD(n), ~BIT_MASK(n), __ATOMIC_RELAXED);
}

static inline bool test_and_set_bit(long n, volatile unsigned long *map)
{
	return __atomic_fetch_or(map + BIT_WORD(n), BIT_MASK(n), __ATOMIC_SEQ_CST) & BIT_MASK(n);
}

static inline bool test_and_clear_bit(long n, volatile unsigned long *map)
{
	return __atomic_fetch_and(map + BIT_WORD(n), ~BIT_MASK(n), __ATOMIC_SEQ_CST) & BIT_MASK(n);
}

static inline bool test_bit(long n, const volatile unsigned long *map)
{
	return map[BIT_WORD(n)] & BIT_MASK(n);
}

static inline void __set_bit(long n, unsigned long *map)
{
	map[BIT_WORD(n)] |= BIT_MASK(n);
}

static inline void __clear_bit(long n, unsigned long *map)
{
	map[BIT_WORD(n)] &= ~BIT_MASK(n);
}

static inline bool __test_and_set_bit(long n, unsigned long *map)
{
	bool old = test_bit(n, map);

	__set_bit(n, map);
	return old;
}

static inline bool __test_and_clear_bit(long n, unsigned long *map)
{
	bool old = test_bit(n, map);

	__clear_bit(n, map);
	return old;
}

#define __assign_bit(n, map, value)	((value) ? __set_bit(n, map) : __clear_bit(n, map))
#define assign_bit(n, map, value)	((value) ? set_bit(n, map) : clear_bit(n, map))

/* fls and ffs count from 1 and give 0 for 0; __fls and __ffs count from 0 and want a bit set */
static inline int fls(unsigned int x)
{
	return x ? 32 - __builtin_clz(x) : 0;
}

static inline int fls64(u64 x)
{
	return x ? 64 - __builtin_clzll(x) : 0;
}

#define ffs(x)		__builtin_ffs(x)
#define __fls(x)	((unsigned long)(63 - __builtin_clzl(x)))
#define __ffs(x)	((unsigned long)__builtin_ctzl(x))
#define __ffs64(x)	((unsigned long)__builtin_ctzll(x))
#define ffz(x)		__ffs(~(x))
#define hweight8(x)	((unsigned int)__builtin_popcount((u8)(x)))
#define hweight16(x)	((unsigned int)__builtin_popcount((u16)(x)))
#define hweight32(x)	((unsigned int)__builtin_popcount((u32)(x)))
#define hweight64(x)	((unsigned long)__builtin_popcountll(x))
#define hweight_long(x)	hweight64(x)

static inline s32 sign_extend32(u32 value, int sign_bit)
{
	return (s32)(value << (31 - sign_bit)) >> (31 - sign_bit);
}

static inline s64 sign_extend64(u64 value, int sign_bit)
{
	return (s64)(value << (63 - sign_bit)) >> (63 - sign_bit);
}

/* linux/find.h: @size where there is none */
static inline unsigned long find_next_bit(const unsigned long *map, unsigned long size,
					  unsigned long n)
{
	while (n < size && !test_bit(n, map))
		n++;
	return n < size ? n : size;
}

static inline unsigned long find_next_zero_bit(const unsigned long *map, unsigned long size,
					       unsigned long n)
{
	while (n < size && test_bit(n, map))
		n++;
	return n < size ? n : size;
}

static inline unsigned long find_last_bit(const unsigned long *map, unsigned long size)
{
	unsigned long n = size;

	while (n--)
		if (test_bit(n, map))
			return n;
	return size;
}

#define find_first_bit(map, size)	find_next_bit(map, size, 0)
#define find_first_zero_bit(map, size)	find_next_zero_bit(map, size, 0)
#define for_each_set_bit(n, map, size)					\
	for ((n) = find_first_bit(map, size); (n) < (size);		\
	     (n) = find_next_bit(map, size, (n) + 1))

#endif
