// SPDX-License-Identifier: GPL-2.0-only
// sources: userspace/device/uart.c userspace/vmm/channel.c userspace/vmm/tidy.c userspace/vmm/events.c userspace/vmm/terminal.c userspace/vmm/bus.c userspace/vmm/state.c userspace/lib/error.c userspace/lib/socket.c
/*
 * The serial port, register by register as Linux's 8250 driver tries it, and the
 * channels behind it: nothing lost, nothing kept without bound, whoever is slow.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "device/uart.h"
#include "lib/error.h"
#include "tap.h"
#include "vmm/channel.h"
#include "vmm/machine.h"
#include "vmm/state.h"
#include "vmm/terminal.h"
#include "vmm/tidy.h"

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR };
enum { FCR = IIR };

/* ---- the rest of the machine -------------------------------------------- */

static struct machine machine;
static bool line;
static u32 edges;
static int ended = -1;

void irq_set(struct machine *of, u32 pin, bool level)
{
	(void)of;
	tap_check(pin == 4, "pin %u", pin);
	edges += level && !line;
	line = level;
}

void machine_end(struct machine *of, int status, const char *reason, ...)
{
	(void)reason;
	if (ended < 0)
		ended = status;
	events_stop(&of->events);
}

static void (*finishes[8])(void *opaque);
static void *finish_of[8];
static u32 finish_count;

int machine_at_end(struct machine *of, void (*finish)(void *opaque), void *opaque)
{
	(void)of;
	finishes[finish_count] = finish;
	finish_of[finish_count++] = opaque;
	return 0;
}

/* What the machine does with devices, done to the only one */
extern const struct device *const __start_thv_devices[];

static void *serve(void *opaque)
{
	(void)opaque;
	events_run(&machine.events);
	return NULL;
}

static pthread_t server;

static void start(const char *kind)
{
	static struct machine_config config;

	config = (struct machine_config){ .serial = { kind } };
	machine = (struct machine){ .config = &config };
	line = false;
	edges = 0;
	ended = -1;
	finish_count = 0;
	if (events_create(&machine.events) || bus_create(&machine.bus, false) ||
	    __start_thv_devices[0]->create(&machine)) {
		printf("Bail out! %s\n", error_text());
		exit(2);
	}
	pthread_create(&server, NULL, serve, NULL);
}

static void stop(void)
{
	events_stop(&machine.events);
	pthread_join(server, NULL);
	while (finish_count--)
		finishes[finish_count](finish_of[finish_count]);
	state_remove_all(&machine);
	bus_destroy(&machine.bus);
	events_destroy(&machine.events);
}

static u8 get(u16 reg)
{
	u8 value;

	bus_port(&machine.bus, 0x3f8 + reg, &value, 1, false);
	return value;
}

static void put(u16 reg, u8 value)
{
	bus_port(&machine.bus, 0x3f8 + reg, &value, 1, true);
}

static struct uart *uart(void)
{
	return finish_of[0];
}

/* ---- registers ---------------------------------------------------------- */

static void test_reset_state(void)
{
	start("null");
	tap_is(get(IER), 0, "after reset no interrupt is enabled");
	tap_is(get(IIR), 0x01, "none is pending, and there is no FIFO yet");
	tap_is(get(LSR), 0x60, "the transmitter is empty");
	tap_is(get(MSR), 0xb0, "somebody is there: CTS, DSR, DCD");
	put(SCR, 0x5a);
	tap_is(get(SCR), 0x5a, "the scratch register keeps what is written");
	put(IER, 0xff);
	tap_is(get(IER), 0x0f, "of IER four bits exist (no XScale, no sleep mode)");
	put(LCR, 0x83);
	put(DATA, 0x34);
	put(IER, 0x12);
	tap_ok(get(DATA) == 0x34 && get(IER) == 0x12, "with DLAB the divisor is there");
	put(LCR, 0x03);
	tap_is(get(IER), 0x0f, "without it IER again, unharmed");
	stop();
}

/* 8250_port.c: autoconfig_16550a() */
static void test_autoconfig(void)
{
	u8 mcr;

	start("null");
	put(MCR, 0x1a);
	tap_is(get(MSR) & 0xf0, 0x90, "loopback: RTS and OUT2 come back as CTS and DCD");
	put(MCR, 0x00);
	put(FCR, 0x01);
	tap_is(get(IIR) >> 6, 3, "a working FIFO: a 16550A");
	put(LCR, 0x80);
	tap_ok(get(IIR), "no EFR behind DLAB: no 16C650");
	put(LCR, 0xbf);
	tap_ok(get(IIR), "nor behind 0xbf");
	put(LCR, 0);
	mcr = get(MCR);
	put(LCR, 0xe0);
	put(MCR, mcr ^ 0x10);
	tap_ok(!(get(IIR) & 0x10), "no National super I/O");
	put(LCR, 0);
	put(MCR, mcr);
	put(FCR, 0x21);
	tap_is(get(IIR) >> 5, 6, "no 64-byte FIFO: no 16750");
	put(FCR, 0);
	tap_is(get(IIR) >> 6, 0, "the FIFO goes off again");
	stop();
}

/* 8250_port.c: serial8250_do_startup(), the THRE test */
static void test_thre(void)
{
	start("null");
	put(MCR, 0x08);
	put(IER, 0x02);
	tap_ok(line, "enabling the THRE interrupt raises it: the transmitter is empty");
	tap_is(get(IIR), 0x02, "IIR says so");
	tap_ok(!line && get(IIR) == 0x01, "and reading it ended it");
	put(IER, 0);
	put(IER, 0x02);
	tap_is(get(IIR), 0x02, "enabling it anew raises it anew");
	edges = 0;
	put(DATA, 'a');
	put(DATA, 'b');
	tap_ok(line && edges == 1, "bytes sent raise it again: one edge, not one a byte");
	put(IER, 0);
	tap_ok(!line, "disabling ends it");
	put(MCR, 0);
	put(IER, 0x02);
	tap_ok(!line && get(IIR) == 0x02, "without OUT2 it is pending, but stays inside");
	stop();
}

static void receive(const char *text)
{
	uart_receive(uart(), (const u8 *)text, strlen(text));
}

static void test_receive(void)
{
	start("null");
	put(MCR, 0x08);
	put(FCR, 0x81);
	put(IER, 0x05);
	receive("seven b");
	tap_ok(line && get(IIR) == 0xcc, "below the trigger level: a character timeout");
	receive("!");
	tap_is(get(IIR), 0xc4, "at the level: data available");
	tap_ok(get(LSR) & 0x01 && get(DATA) == 's', "the first byte first");
	tap_is(get(IIR), 0xcc, "below again");
	put(FCR, 0x83);
	tap_ok(!line && !(get(LSR) & 0x01), "clearing the FIFO clears all");
	tap_is(get(DATA), 0, "reading an empty one gives zero");
	put(FCR, 0);
	receive("x");
	tap_is(get(IIR), 0x04, "without FIFO one byte is enough");
	put(FCR, 0x01);
	tap_ok(!(get(LSR) & 1), "switching the FIFO clears it");
	stop();
}

static void test_errors(void)
{
	u32 i;

	start("null");
	put(FCR, 0x01);
	put(MCR, 0x08);
	put(IER, 0x05);
	receive("a");
	uart_break(uart());
	tap_is(get(LSR) & 0x1e, 0, "a break does not show before its byte is next");
	get(DATA);
	tap_is(get(IIR), 0xc6, "then it is the line-status interrupt");
	tap_is(get(LSR) & 0x1f, 0x11, "LSR has BI and a byte");
	tap_is(get(LSR) & 0x1e, 0, "once");
	tap_is(get(DATA), 0, "the byte is zero");
	for (i = 0; i <= UART_RX_SIZE; i++)
		receive("z");
	tap_is(get(LSR) & 0x02, 0x02, "one byte too many is an overrun");
	tap_is(uart()->rx_count, UART_RX_SIZE, "and no byte of memory more");
	stop();
}

static void test_priority(void)
{
	start("null");
	put(MCR, 0x08);
	put(IER, 0x0f);
	put(MCR, 0x18);
	put(MCR, 0x08);
	receive("a");
	uart_break(uart());
	uart()->lsr |= 0x02;
	tap_is(get(IIR), 0x06, "line status comes first");
	get(LSR);
	tap_is(get(IIR), 0x04, "then data");
	get(DATA);
	get(LSR);
	get(DATA);
	tap_is(get(IIR), 0x02, "then the transmitter");
	tap_is(get(IIR), 0x00, "then the modem lines");
	tap_ok(get(MSR) & 0x0f, "whose changes MSR tells");
	tap_ok(get(IIR) == 0x01 && !line, "then nothing");
	stop();
}

static void test_loopback(void)
{
	start("null");
	put(FCR, 0x01);
	put(MCR, 0x18);
	put(DATA, 'q');
	tap_ok(get(LSR) == 0x61 && get(DATA) == 'q', "in loopback what is sent comes back");
	tap_is(uart_room(uart()), 0, "and nothing comes from outside");
	put(IER, 0x01);
	put(DATA, 'r');
	tap_ok(!line, "interrupts stay inside");
	put(MCR, 0x08);
	tap_ok(line, "until it is left");
	put(MCR, 0x1f);
	tap_is(get(MSR) & 0xf0, 0xf0, "all outputs are connected to inputs");
	put(MCR, 0x10);
	tap_is(get(MSR), 0x0f, "and all changes are seen");
	stop();
}

/* Wide accesses go to registers one by one, as on the ISA bus */
static void test_wide(void)
{
	u32 value = 0;

	start("null");
	put(SCR, 0x77);
	bus_port(&machine.bus, 0x3fd, &value, 4, false);
	tap_is(value, 0xff77b060, "a wide read: LSR, MSR, SCR, and nobody");
	tap_is(machine.bus.unclaimed, 1, "nobody is counted");
	stop();
}

/* ---- channels ----------------------------------------------------------- */

static u8 pattern(u32 i)
{
	return i * 167 >> 3;
}

/* As a driver: wait for the transmitter, then fill the FIFO. False: it stayed full. */
static bool send_fifo(u32 from, u32 wait_ms)
{
	u32 i;

	for (i = 0; !(get(LSR) & 0x20); i++) {
		if (i == wait_ms * 10)
			return false;
		usleep(100);
	}
	for (i = 0; i < 16; i++)
		put(DATA, pattern(from + i));
	return true;
}

static bool soon_readable(int fd)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };

	return poll(&wait, 1, 2000) == 1 && wait.revents & POLLIN;
}

/* Read total bytes of the pattern */
static u32 read_pattern(int fd, u32 from, u32 total)
{
	u8 bytes[1000];
	u32 done = 0;
	ssize_t got, i;

	while (done < total && soon_readable(fd)) {
		got = read(fd, bytes, total - done < sizeof(bytes) ? total - done : sizeof(bytes));
		if (got <= 0)
			break;
		for (i = 0; i < got; i++)
			if (bytes[i] != pattern(from + done + i))
				return done + i;
		done += got;
	}
	return done;
}

static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(address.sun_path, path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)))
		exit(2);
	return fd;
}

static void wait_for_client(void)
{
	/* The launcher accepts on its own thread: what we send it is the sign */
	while (!(get(LSR) & 1))
		usleep(100);
	get(DATA);
}

static char socket_path[64], socket_kind[80];

static int start_socket(void)
{
	int fd;

	start(socket_kind);
	put(FCR, 0x01);
	fd = connect_to(socket_path);
	if (write(fd, "!", 1) != 1)
		exit(2);
	wait_for_client();
	return fd;
}

/* Threat 36 */
static void test_flood_blocked_reader(void)
{
	u32 sent = 0;
	int fd = start_socket();

	while (sent < 64 << 20 && send_fifo(sent, 50))
		sent += 16;
	tap_ok(sent < 8 << 20, "with a reader that does not read, the transmitter fills (%u bytes)",
	       sent);
	tap_ok(uart()->tx_count <= UART_TX_SIZE, "what is kept is bounded");
	put(DATA, 'x');
	tap_is(uart()->tx_lost, 0, "the FIFO's last bytes had room, so has one more");
	uart()->tx_count--;
	tap_is(read_pattern(fd, 0, sent), sent, "the reader wakes up and gets every byte, in order");
	tap_ok(send_fifo(sent, 2000), "and the transmitter is empty again");
	close(fd);
	stop();
}

static void test_reader_leaves(void)
{
	u32 sent = 0;
	int fd = start_socket();

	while (send_fifo(sent, 50))
		sent += 16;
	close(fd);
	tap_ok(send_fifo(0, 2000), "a reader that leaves while all is full blocks nobody");
	usleep(50000);
	fd = connect_to(socket_path);
	if (write(fd, "!", 1) != 1)
		exit(2);
	wait_for_client();
	send_fifo(32, 2000);
	tap_is(read_pattern(fd, 32, 16), 16, "the next one gets what is sent from then on");
	close(fd);
	stop();
	tidy_finish();
	tap_ok(access(socket_path, F_OK), "the socket is removed in the end");
}

static void test_flood_of_input(void)
{
	int fd = start_socket();
	u32 i, total = 1 << 20, written = 0, wrong = 0, got = 0;
	u8 bytes[1024];
	ssize_t some;

	fcntl(fd, F_SETFL, O_NONBLOCK);
	while (got < total) {
		for (i = 0; i < sizeof(bytes); i++)
			bytes[i] = pattern(written + i);
		some = write(fd, bytes, total - written < 1024 ? total - written : 1024);
		written += some > 0 ? some : 0;
		if (some < 0)
			tap_check(uart()->rx_count <= UART_RX_SIZE, "%u", uart()->rx_count);
		for (; get(LSR) & 1; got++)
			wrong += get(DATA) != pattern(got);
	}
	tap_ok(!wrong && tap_held(), "a flood of input waits outside: nothing lost, nothing piled up");
	close(fd);
	stop();
}

static void test_latency(void)
{
	int fd = start_socket();
	u8 byte = 0;

	put(DATA, 'k');
	tap_ok(soon_readable(fd) && read(fd, &byte, 1) == 1 && byte == 'k',
	       "a single byte does not wait for more");
	close(fd);
	stop();
}

/* Few, and bigger than a byte: output costs a write() now and then */
static void test_file(void)
{
	char path[] = "/tmp/test_uart.XXXXXX", kind[80];
	int fd = mkstemp(path);
	u32 sent;

	snprintf(kind, sizeof(kind), "file:%s", path);
	start(kind);
	for (sent = 0; sent < 100000; sent += 16)
		send_fifo(sent, 2000);
	stop();
	tap_is(read_pattern(fd, 0, sent), sent, "a file gets every byte, the last ones at the end");
	unlink(path);
	close(fd);
}

/* The program's own standard input and output, for a while */
static int saved[2];

static void divert(int in, int out)
{
	saved[0] = dup(0);
	saved[1] = dup(1);
	dup2(in, 0);
	dup2(out, 1);
}

static void restore(void)
{
	fflush(stdout);
	dup2(saved[0], 0);
	dup2(saved[1], 1);
	close(saved[0]);
	close(saved[1]);
}

static void *read_slowly(void *opaque)
{
	usleep(300000);
	return (void *)(unsigned long)read_pattern(*(int *)opaque, 0, 200000);
}

static void test_pipe(void)
{
	int in[2], out[2], flags;
	bool full = false;
	u32 sent, got;
	pthread_t reader;
	void *result;

	if (pipe(in) || pipe(out) || write(in[1], "hello", 5) != 5)
		exit(2);
	close(in[1]);
	divert(in[0], out[1]);
	start("stdio");
	pthread_create(&reader, NULL, read_slowly, &out[0]);
	for (sent = 0; sent < 200000; sent += 16)
		full |= !send_fifo(sent, 5000);
	flags = fcntl(1, F_GETFL);
	stop();
	restore();
	close(out[1]);
	pthread_join(reader, &result);
	got = (unsigned long)result;
	tap_ok(!full && got == 200000, "a pipe with a slow reader gets every byte (%u)", got);
	tap_ok(!(flags & O_NONBLOCK), "our standard output was not made non-blocking for others");
	close(in[0]);
	close(out[0]);
}

static void test_input_file(void)
{
	char path[] = "/tmp/test_uart.XXXXXX";
	int fd = mkstemp(path), null = open("/dev/null", O_RDWR);
	u32 i, got = 0, wrong = 0, total = 10000;
	u8 byte;

	for (i = 0; i < total; i++) {
		byte = pattern(i);
		if (write(fd, &byte, 1) != 1)
			exit(2);
	}
	lseek(fd, 0, SEEK_SET);
	divert(fd, null);
	start("stdio");
	for (i = 0; i < 200000 && got < total; i++) {
		for (; get(LSR) & 1; got++)
			wrong += get(DATA) != pattern(got);
		usleep(10);
	}
	stop();
	restore();
	tap_ok(got == total && !wrong, "standard input from a file: all of it, at the guest's pace");
	close(fd);
	close(null);
	unlink(path);
}

static void test_closed_pipe(void)
{
	int in = open("/dev/null", O_RDONLY), out[2], i;

	if (pipe(out))
		exit(2);
	close(out[0]);
	divert(in, out[1]);
	start("stdio");
	put(DATA, 'a');
	for (i = 0; i < 2000 && ended < 0; i++)
		usleep(1000);
	stop();
	restore();
	tap_is(ended, 128 + SIGPIPE, "when nobody reads standard output any more, the VM ends");
	close(in);
	close(out[1]);
}

/* ---- the terminal -------------------------------------------------------- */

static int open_terminal(int *user)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY);

	if (master < 0 || grantpt(master) || unlockpt(master))
		exit(2);
	*user = open(ptsname(master), O_RDWR | O_NOCTTY);
	return master;
}

static bool is_raw(int fd)
{
	struct termios mode;

	tcgetattr(fd, &mode);
	return !(mode.c_lflag & (ICANON | ECHO | ISIG));
}

static void type(int master, const char *keys)
{
	if (write(master, keys, strlen(keys)) < 0)
		exit(2);
}

static u8 next_byte(void)
{
	int i;

	for (i = 0; i < 2000 && !(get(LSR) & 1); i++)
		usleep(1000);
	return get(DATA);
}

static void test_terminal(void)
{
	bool raw, interrupt, escape, ends;
	int user, master = open_terminal(&user), i;

	divert(user, user);
	start("stdio");
	raw = is_raw(user);
	type(master, "\003");
	interrupt = next_byte() == 3;
	type(master, "\001\001a\001\001");
	escape = next_byte() == 1 && next_byte() == 'a' && next_byte() == 1;
	type(master, "\001x");
	for (i = 0; i < 2000 && ended < 0; i++)
		usleep(1000);
	ends = ended == 0;
	stop();
	restore();
	tap_ok(raw, "a terminal is raw while a guest has it");
	tap_ok(interrupt, "Ctrl-C is the guest's");
	tap_ok(escape, "Ctrl-A Ctrl-A is Ctrl-A");
	tap_ok(ends, "Ctrl-A x ends the VM");
	tap_ok(!is_raw(user), "after that the terminal is as it was");
	close(user);
	close(master);
}

/* The escape key must work when the guest is dead and its buffer full */
static void test_escape_when_full(void)
{
	int user, master = open_terminal(&user), i;
	char flood[UART_RX_SIZE + 600];

	memset(flood, 'f', sizeof(flood));
	divert(user, user);
	start("stdio");
	for (i = 0; i < (int)sizeof(flood); i += 200) {
		if (write(master, flood, 200) < 0)
			exit(2);
		usleep(20000);
	}
	type(master, "\001x");
	for (i = 0; i < 2000 && ended < 0; i++)
		usleep(1000);
	stop();
	restore();
	tap_is(ended, 0, "Ctrl-A x works though the guest reads nothing");
	close(user);
	close(master);
}

static void test_keys(void)
{
	bool escaped = false;

	tap_is(terminal_key(&escaped, 'x'), TERMINAL_TEXT, "x alone is text");
	terminal_key(&escaped, 1);
	tap_is(terminal_key(&escaped, 'b'), TERMINAL_BREAK, "Ctrl-A b is a break");
	terminal_key(&escaped, 1);
	tap_is(terminal_key(&escaped, 'z'), TERMINAL_NOTHING, "an unknown key is swallowed");
	tap_is(terminal_key(&escaped, 'z'), TERMINAL_TEXT, "and ends the escape");
}

/* Whatever kills us, the terminal comes back: a child dies of each signal */
static void test_crash(int number)
{
	int user, master = open_terminal(&user);
	pid_t child = fork();

	if (!child) {
		setsid();
		if (terminal_raw(user) || !is_raw(user))
			_exit(1);
		signal(SIGALRM, SIG_DFL);
		raise(number);
		_exit(1);
	}
	waitpid(child, &ended, 0);
	tap_ok(WIFSIGNALED(ended) && WTERMSIG(ended) == number && !is_raw(user),
	       "killed by %s, it leaves the terminal as it was", strsignal(number));
	close(user);
	close(master);
}

static void test_pty(void)
{
	char path[64], text[100] = "";
	int err[2], old = dup(2), fd;
	u8 byte = 0;

	if (pipe(err))
		exit(2);
	dup2(err[1], 2);
	start("pty");
	dup2(old, 2);
	if (read(err[0], text, sizeof(text) - 1) < 0 ||
	    sscanf(strstr(text, "/dev/"), "%63s", path) != 1)
		exit(2);
	for (fd = 0; fd < 2000; fd++)
		send_fifo(0, 100);
	tap_ok(send_fifo(0, 100), "a pty nobody has opened drops what is sent, and blocks nobody");
	fd = open(path, O_RDWR | O_NOCTTY);
	if (fd < 0 || write(fd, "k\n", 2) != 2)
		exit(2);
	tap_ok(next_byte() == 'k', "%s is the way in", path);
	put(DATA, 'o');
	tap_ok(soon_readable(fd), "and the way out");
	while (soon_readable(fd) && byte != 'o' && read(fd, &byte, 1) == 1)
		;
	close(fd);
	stop();
	close(err[0]);
	close(err[1]);
	close(old);
}

static void test_kinds(void)
{
	static const char *const good[] = { "stdio", "stdout", "pty", "null", "file:x", "socket:x" };
	static const char *const bad[] = { "", "x", "stdi", "stdiox", "stdio:", "stdio:x", "file",
					   "file:", "socket:", ":", ":x", "null:" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(good); i++)
		tap_check(!channel_check("serial", good[i]), "%s", good[i]);
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		tap_check(channel_check("serial", bad[i]), "%s", bad[i]);
	tap_ok(tap_held(), "kinds of channel are told from what is none");
	tap_ok(channel_uses_stdio("stdout") && !channel_uses_stdio("pty"),
	       "so is who uses standard output");
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	snprintf(socket_path, sizeof(socket_path), "/tmp/test_uart.%d", getpid());
	snprintf(socket_kind, sizeof(socket_kind), "socket:%s", socket_path);
	test_reset_state();
	test_autoconfig();
	test_thre();
	test_receive();
	test_errors();
	test_priority();
	test_loopback();
	test_wide();
	test_kinds();
	test_keys();
	test_flood_blocked_reader();
	test_reader_leaves();
	test_flood_of_input();
	test_latency();
	test_file();
	test_pipe();
	test_input_file();
	test_closed_pipe();
	test_pty();
	test_terminal();
	test_escape_when_full();
	test_crash(SIGABRT);
	test_crash(SIGSEGV);
	tap_ok(tap_held(), "the only pin ever set is 4");
	return tap_done();
}
