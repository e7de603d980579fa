// SPDX-License-Identifier: GPL-2.0-only
/* The tracepoints of trace.h are made here: this is the one place that defines them. */
#include "vcpu.h"

#define CREATE_TRACE_POINTS
#include "trace.h"
