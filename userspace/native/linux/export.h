/* SPDX-License-Identifier: GPL-2.0-only */
/* Native stand-in: there is nobody to export to. */
#ifndef _NATIVE_LINUX_EXPORT_H
#define _NATIVE_LINUX_EXPORT_H

#define EXPORT_SYMBOL(symbol)
#define EXPORT_SYMBOL_GPL(symbol)

#endif
