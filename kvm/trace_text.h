/* SPDX-License-Identifier: BSD-2-Clause */
/* Trace records as text, in the form of the kernel's own tracer (ftrace). */
#ifndef KVMU_KVM_TRACE_TEXT_H
#define KVMU_KVM_TRACE_TEXT_H

#include <stddef.h>

#include "host/trace.h"

/* Longer than any line. */
#define TRACE_LINE_BYTES 512u

extern const char trace_text_header[];

/* One line with its newline, and one before it where records were lost; their length. */
size_t trace_text_line(char *buf, size_t bytes, const struct host_trace_record *record,
		       const struct host_trace_thread *thread);

#endif
