// SPDX-License-Identifier: GPL-2.0-only
/*
 * The 16550A serial port (National Semiconductor PC16550D), at COM1 and, when asked
 * for, at COM2.
 *
 * What the guest sends waits in tx until the buffer is full or a few milliseconds
 * are over, so that a line of text costs one write() and not one for each byte.
 * A channel whose reader is slow leaves the buffer full; then the transmitter is
 * "not empty" and the guest waits, as it would for a slow line. The same in the
 * other direction: the channel reads no more than rx has room for. So whatever
 * either side does, memory stays what it is.
 */
#include "device/uart.h"

#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "lib/error.h"
#include "vmm/channel.h"
#include "vmm/machine.h"
#include "vmm/state.h"

#define FLUSH_NS	(3 * 1000 * 1000)
#define FIFO		16	/* what the guest may send once the transmitter is empty */

/* Interrupt enable */
#define IER_RX		0x01
#define IER_THRE	0x02
#define IER_LINE	0x04
#define IER_MODEM	0x08
#define IER_BITS	0x0f

/* Interrupt identification, in order of priority */
#define IIR_LINE	0x06
#define IIR_RX		0x04
#define IIR_TIMEOUT	0x0c
#define IIR_THRE	0x02
#define IIR_MODEM	0x00
#define IIR_NONE	0x01
#define IIR_FIFO	0xc0

#define FCR_ENABLE	0x01
#define FCR_CLEAR_RX	0x02
#define FCR_CLEAR_TX	0x04
#define FCR_TRIGGER	0xc0

#define LCR_DLAB	0x80

#define MCR_DTR		0x01
#define MCR_RTS		0x02
#define MCR_OUT1	0x04
#define MCR_OUT2	0x08	/* on a PC: lets the interrupt out */
#define MCR_LOOP	0x10
#define MCR_BITS	0x1f

#define LSR_DATA	0x01
#define LSR_OVERRUN	0x02
#define LSR_BREAK	0x10
#define LSR_ERRORS	0x1e
#define LSR_THRE	0x20
#define LSR_TEMT	0x40

#define MSR_CTS		0x10
#define MSR_DSR		0x20
#define MSR_RI		0x40
#define MSR_DCD		0x80
#define MSR_LINES	0xf0
#define MSR_DELTAS	0x0f
#define MSR_TERI	0x04

/* ---- interrupts --------------------------------------------------------- */

static u32 trigger_level(const struct uart *uart)
{
	static const u8 levels[] = { 1, 4, 8, 14 };

	return uart->fcr & FCR_ENABLE ? levels[(uart->fcr & FCR_TRIGGER) >> 6] : 1;
}

static bool tx_empty(const struct uart *uart)
{
	return uart->tx_count <= UART_TX_SIZE - FIFO;
}

/*
 * Fewer bytes than the trigger level are a "character timeout": in a world where
 * characters take no time, it is over at once.
 */
static u8 pending(const struct uart *uart)
{
	if (uart->ier & IER_LINE && uart->lsr & LSR_ERRORS)
		return IIR_LINE;
	if (uart->ier & IER_RX && uart->rx_count)
		return uart->rx_count >= trigger_level(uart) ? IIR_RX : IIR_TIMEOUT;
	if (uart->ier & IER_THRE && uart->thre_pending)
		return IIR_THRE;
	if (uart->ier & IER_MODEM && uart->msr & MSR_DELTAS)
		return IIR_MODEM;
	return IIR_NONE;
}

/* After every change; OUT2 reaches the pin only outside of loopback */
static void update_line(struct uart *uart)
{
	bool line = pending(uart) != IIR_NONE && (uart->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2;

	if (line == uart->line)
		return;
	uart->line = line;
	irq_set(uart->machine, uart->pin, line);
}

/* ---- receiving ---------------------------------------------------------- */

/* The errors of the byte that is next to be read show in LSR, once */
static void show_errors(struct uart *uart)
{
	if (uart->rx_count)
		uart->lsr |= uart->rx[uart->rx_head] >> 8;
}

static void push(struct uart *uart, u16 byte)
{
	if (uart->rx_count == UART_RX_SIZE) {
		uart->lsr |= LSR_OVERRUN;
		return;
	}
	uart->rx[(uart->rx_head + uart->rx_count++) % UART_RX_SIZE] = byte;
	if (uart->rx_count == 1)
		show_errors(uart);
}

static u8 pop(struct uart *uart)
{
	u8 byte;

	if (!uart->rx_count)
		return 0;
	byte = uart->rx[uart->rx_head];
	uart->rx_head = (uart->rx_head + 1) % UART_RX_SIZE;
	uart->rx_count--;
	show_errors(uart);
	if (uart->rx_full && uart->rx_count <= UART_RX_SIZE / 2) {
		uart->rx_full = false;
		channel_resume(uart->channel);
	}
	return byte;
}

static void clear_rx(struct uart *uart)
{
	while (uart->rx_count)
		pop(uart);
	uart->lsr &= ~LSR_ERRORS;
}

/* In loopback the outside is cut off: it waits */
size_t uart_room(void *opaque)
{
	struct uart *uart = opaque;
	size_t room;

	pthread_mutex_lock(&uart->lock);
	room = UART_RX_SIZE - uart->rx_count;
	if (uart->mcr & MCR_LOOP)
		room = 0;
	if (!room)
		uart->rx_full = true;
	pthread_mutex_unlock(&uart->lock);
	return room;
}

void uart_receive(void *opaque, const u8 *data, size_t length)
{
	struct uart *uart = opaque;
	size_t i;

	pthread_mutex_lock(&uart->lock);
	for (i = 0; i < length; i++)
		push(uart, data[i]);
	update_line(uart);
	pthread_mutex_unlock(&uart->lock);
}

void uart_break(void *opaque)
{
	struct uart *uart = opaque;

	pthread_mutex_lock(&uart->lock);
	push(uart, LSR_BREAK << 8);
	update_line(uart);
	pthread_mutex_unlock(&uart->lock);
}

/* ---- sending ------------------------------------------------------------ */

static void flush(struct uart *uart)
{
	bool was_empty = tx_empty(uart);
	size_t taken;

	if (!uart->tx_count)
		return;
	taken = channel_write(uart->channel, uart->tx, uart->tx_count);
	uart->tx_count -= taken;
	memmove(uart->tx, uart->tx + taken, uart->tx_count);
	if (!was_empty && tx_empty(uart))
		uart->thre_pending = true;
}

static void set_timer(struct uart *uart)
{
	const struct itimerspec soon = { .it_value.tv_nsec = FLUSH_NS };

	if (uart->flush_set)
		return;
	uart->flush_set = true;
	timerfd_settime(uart->flush.fd, 0, &soon, NULL);
}

static void send(struct uart *uart, u8 byte)
{
	if (uart->mcr & MCR_LOOP) {
		push(uart, byte);
		uart->thre_pending = true;
		return;
	}
	if (uart->tx_count == UART_TX_SIZE) {
		uart->tx_lost++;
		return;
	}
	uart->tx[uart->tx_count++] = byte;
	if (!tx_empty(uart))
		flush(uart);
	uart->thre_pending = tx_empty(uart);
	if (uart->tx_count)
		set_timer(uart);
}

void uart_writable(void *opaque)
{
	struct uart *uart = opaque;

	pthread_mutex_lock(&uart->lock);
	flush(uart);
	update_line(uart);
	pthread_mutex_unlock(&uart->lock);
}

static void timer_ready(void *opaque, u32 events)
{
	struct uart *uart = opaque;
	u64 expiries;

	(void)events;
	if (read(uart->flush.fd, &expiries, sizeof(expiries)) < 0)
		return;
	pthread_mutex_lock(&uart->lock);
	uart->flush_set = false;
	flush(uart);
	update_line(uart);
	pthread_mutex_unlock(&uart->lock);
}

/* ---- modem lines -------------------------------------------------------- */

/* Loopback connects our outputs to our inputs; else somebody is there and ready */
static u8 modem_lines(const struct uart *uart)
{
	u8 mcr = uart->mcr;

	if (!(mcr & MCR_LOOP))
		return MSR_CTS | MSR_DSR | MSR_DCD;
	return (mcr & MCR_RTS ? MSR_CTS : 0) | (mcr & MCR_DTR ? MSR_DSR : 0) |
	       (mcr & MCR_OUT1 ? MSR_RI : 0) | (mcr & MCR_OUT2 ? MSR_DCD : 0);
}

/* A delta bit for each line that changed; for RI only for its end */
static void update_modem(struct uart *uart)
{
	u8 lines = modem_lines(uart), changed = (uart->msr ^ lines) >> 4;

	if (lines & MSR_RI)
		changed &= ~MSR_TERI;
	uart->msr = lines | (uart->msr & MSR_DELTAS) | changed;
}

/* ---- registers: one function each for reading and writing ---------------- */

static u8 read_data(struct uart *uart)
{
	return uart->lcr & LCR_DLAB ? uart->dll : pop(uart);
}

static void write_data(struct uart *uart, u8 value)
{
	if (uart->lcr & LCR_DLAB)
		uart->dll = value;
	else
		send(uart, value);
}

static u8 read_ier(struct uart *uart)
{
	return uart->lcr & LCR_DLAB ? uart->dlm : uart->ier;
}

/* Enabling the THRE interrupt makes it due at once: Linux tests for that */
static void write_ier(struct uart *uart, u8 value)
{
	u8 enabled = value & ~uart->ier;

	if (uart->lcr & LCR_DLAB) {
		uart->dlm = value;
		return;
	}
	uart->ier = value & IER_BITS;
	if (enabled & IER_THRE && tx_empty(uart))
		uart->thre_pending = true;
}

/* Reading it ends the THRE interrupt, if that is what it tells */
static u8 read_iir(struct uart *uart)
{
	u8 iir = pending(uart);

	if (iir == IIR_THRE)
		uart->thre_pending = false;
	return iir | (uart->fcr & FCR_ENABLE ? IIR_FIFO : 0);
}

/*
 * What waits in tx has left the port as far as the guest can know, so clearing the
 * transmit FIFO has nothing to clear.
 */
static void write_fcr(struct uart *uart, u8 value)
{
	bool toggled = (value ^ uart->fcr) & FCR_ENABLE;

	if (toggled || value & FCR_CLEAR_RX)
		clear_rx(uart);
	if (toggled || value & FCR_CLEAR_TX)
		uart->thre_pending = tx_empty(uart);
	uart->fcr = value & FCR_ENABLE ? value & (FCR_ENABLE | FCR_TRIGGER) : 0;
}

static u8 read_lcr(struct uart *uart)
{
	return uart->lcr;
}

static void write_lcr(struct uart *uart, u8 value)
{
	uart->lcr = value;
}

static u8 read_mcr(struct uart *uart)
{
	return uart->mcr;
}

static void write_mcr(struct uart *uart, u8 value)
{
	bool left_loop = uart->mcr & ~value & MCR_LOOP;

	uart->mcr = value & MCR_BITS;
	update_modem(uart);
	if (left_loop && uart->rx_full) {
		uart->rx_full = false;
		channel_resume(uart->channel);
	}
}

static u8 read_lsr(struct uart *uart)
{
	u8 lsr = uart->lsr | (uart->rx_count ? LSR_DATA : 0) |
		 (tx_empty(uart) ? LSR_THRE | LSR_TEMT : 0);

	uart->lsr &= ~LSR_ERRORS;
	return lsr;
}

static u8 read_msr(struct uart *uart)
{
	u8 msr = uart->msr;

	uart->msr &= ~MSR_DELTAS;
	return msr;
}

static u8 read_scr(struct uart *uart)
{
	return uart->scr;
}

static void write_scr(struct uart *uart, u8 value)
{
	uart->scr = value;
}

static void write_nothing(struct uart *uart, u8 value)
{
	(void)uart;
	(void)value;
}

static const struct {
	u8 (*read)(struct uart *uart);
	void (*write)(struct uart *uart, u8 value);
} registers[8] = {
	{ read_data, write_data },
	{ read_ier, write_ier },
	{ read_iir, write_fcr },
	{ read_lcr, write_lcr },
	{ read_mcr, write_mcr },
	{ read_lsr, write_nothing },
	{ read_msr, write_nothing },
	{ read_scr, write_scr },
};

u64 uart_access(void *device, u64 offset, u32 length, bool write, u64 value)
{
	struct uart *uart = device;
	u8 result = 0;

	(void)length;
	pthread_mutex_lock(&uart->lock);
	if (write)
		registers[offset].write(uart, value);
	else
		result = registers[offset].read(uart);
	update_line(uart);
	pthread_mutex_unlock(&uart->lock);
	return result;
}

/* ---- the state: what the guest has sent and nobody has taken goes with it --- */

static const struct state_field fields[] = {
	STATE(struct uart, ier, .maximum = IER_BITS),
	STATE(struct uart, lcr),
	STATE(struct uart, mcr, .maximum = MCR_BITS),
	STATE(struct uart, scr),
	STATE(struct uart, dll),
	STATE(struct uart, dlm),
	STATE(struct uart, fcr),
	STATE(struct uart, lsr, .maximum = LSR_ERRORS),
	STATE(struct uart, msr),
	STATE(struct uart, thre_pending, .maximum = 1),
	STATE_BYTES(struct uart, rx),
	STATE(struct uart, rx_head, .maximum = UART_RX_SIZE - 1),
	STATE(struct uart, rx_count, .maximum = UART_RX_SIZE),
	STATE_BYTES(struct uart, tx),
	STATE(struct uart, tx_count, .maximum = UART_TX_SIZE),
	STATE(struct uart, tx_lost),
	{ 0 }
};

int uart_save(void *opaque, const char *name, struct state *state)
{
	struct uart *uart = opaque;
	int result;

	pthread_mutex_lock(&uart->lock);
	result = state_save_table(state, name, fields, uart);
	pthread_mutex_unlock(&uart->lock);
	return result;
}

/* The pin's level follows from the registers */
int uart_restore(void *opaque, const char *name, const struct state *state)
{
	struct uart *uart = opaque;

	if (state_restore_table(state, name, fields, uart))
		return -1;
	pthread_mutex_lock(&uart->lock);
	uart->rx_full = uart->rx_count == UART_RX_SIZE;
	if (uart->tx_count)
		set_timer(uart);
	update_line(uart);
	pthread_mutex_unlock(&uart->lock);
	return 0;
}

/* ---- the device --------------------------------------------------------- */

static void on_end(void *opaque, int signal)
{
	struct uart *uart = opaque;

	if (signal)
		machine_end(uart->machine, END_SIGNAL + signal, "nobody reads the output any more");
	else
		machine_end(uart->machine, END_POWEROFF, NULL);
}

static const struct channel_user user = {
	.room = uart_room,
	.receive = uart_receive,
	.line_break = uart_break,
	.writable = uart_writable,
	.end = on_end,
};

void uart_init(struct uart *uart, struct machine *machine, u32 pin)
{
	*uart = (struct uart){
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.machine = machine,
		.pin = pin,
		.flush = { .fd = -1, .mask = EPOLLIN, .ready = timer_ready, .opaque = uart },
		.dll = 12,	/* 9600 baud; nobody counts */
		.msr = MSR_CTS | MSR_DSR | MSR_DCD,
	};
}

static void finish(void *opaque)
{
	struct uart *uart = opaque;

	if (uart->channel) {
		channel_finish(uart->channel, uart->tx, uart->tx_count);
		channel_close(uart->channel);
	}
	if (uart->flush.fd >= 0)
		close(uart->flush.fd);
	free(uart);
}

static const struct port {
	u16 port;
	u32 pin;
	const char *label;
} ports[SERIAL_PORTS] = {
	[SERIAL_CONSOLE] = { 0x3f8, 4, "the serial console (ttyS0)" },
	[SERIAL_SECOND] = { 0x2f8, 3, "the second serial port (ttyS1)" },
};

static int create_one(struct machine *machine, const struct port *port, const char *kind)
{
	struct uart *uart = malloc(sizeof(*uart));
	char name[16];

	if (!uart)
		return error_set("out of memory");
	uart_init(uart, machine, port->pin);
	if (machine_at_end(machine, finish, uart))
		return -1;
	uart->flush.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (uart->flush.fd < 0)
		return error_errno("making a timer");
	if (events_add(&machine->events, &uart->flush))
		return -1;
	uart->channel = channel_open(kind, port->label, &machine->events, &user, uart);
	if (!uart->channel)
		return -1;
	if (bus_claim_ports(&machine->bus, port->port, ARRAY_SIZE(registers), 1, uart_access, uart))
		return -1;
	snprintf(name, sizeof(name), "uart %d", (int)(port - ports));
	return state_add(machine, name, uart_save, uart_restore, uart);
}

static int create(struct machine *machine)
{
	size_t i;

	for (i = 0; i < SERIAL_PORTS; i++)
		if (machine->config->serial[i] &&
		    create_one(machine, &ports[i], machine->config->serial[i]))
			return -1;
	return 0;
}

DEVICE(uart, create);
