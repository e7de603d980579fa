/* SPDX-License-Identifier: GPL-2.0-only */
/* A UART's insides, for its test; the machine needs none of this. */
#ifndef THV_DEVICE_UART_H
#define THV_DEVICE_UART_H

#include <pthread.h>

#include "lib/types.h"
#include "vmm/events.h"

struct channel;
struct machine;

#define UART_RX_SIZE	1024	/* bytes; a power of two */
#define UART_TX_SIZE	4096

struct uart {
	pthread_mutex_t lock;		/* guards all below */
	struct machine *machine;
	u32 pin;			/* of the IOAPIC */
	struct channel *channel;
	struct event_source flush;	/* a timer */
	bool flush_set;			/* ... which is going to call */

	u8 ier, lcr, mcr, scr, dll, dlm;
	u8 fcr;				/* enable and trigger-level bits */
	u8 lsr;				/* latched errors: overrun, break */
	u8 msr;				/* modem lines and their delta bits */
	bool thre_pending;		/* the "transmitter empty" interrupt is due */
	bool line;			/* what the pin was last set to */

	u16 rx[UART_RX_SIZE];		/* a byte, and its error bits << 8 */
	u32 rx_head, rx_count;
	bool rx_full;			/* the channel waits for channel_resume() */
	u8 tx[UART_TX_SIZE];		/* sent by the guest, not yet taken by the channel */
	u32 tx_count;
	u64 tx_lost;			/* sent though the transmitter was not empty */
};

void uart_init(struct uart *uart, struct machine *machine, u32 pin);
u64 uart_access(void *device, u64 offset, u32 length, bool write, u64 value);
size_t uart_room(void *opaque);
void uart_receive(void *opaque, const u8 *data, size_t length);
void uart_break(void *opaque);
void uart_writable(void *opaque);

struct state;
int uart_save(void *opaque, const char *name, struct state *state);
int uart_restore(void *opaque, const char *name, const struct state *state);

#endif
