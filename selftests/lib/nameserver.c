// SPDX-License-Identifier: GPL-2.0-only
/*
 * A name server for tests: nameserver ADDRESS answers each question for a name's IPv4 address
 * (RFC 1035), at 127.0.0.1, with ADDRESS.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define HEADER	12

/* The answer, behind the question: its name is the one at offset 12; type A, class IN, a minute, 4 bytes */
static const unsigned char record[] = { 0xc0, HEADER, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4 };

/* The question's type is in the two bytes before its class, which are its last */
static size_t answer(unsigned char *message, size_t length, const struct in_addr *address)
{
	int is_ipv4 = !memcmp(message + length - 4, "\0\1", 2);

	message[2] = 0x84;	/* a response, from who knows */
	message[3] = 0;
	message[7] = is_ipv4;
	memset(message + 8, 0, 4);
	if (!is_ipv4)
		return length;
	memcpy(message + length, record, sizeof(record));
	memcpy(message + length + sizeof(record), address, 4);
	return length + sizeof(record) + 4;
}

int main(int argc, char **argv)
{
	struct sockaddr_in own = { .sin_family = AF_INET, .sin_port = htons(53) }, peer;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	unsigned char message[600];
	struct in_addr address;
	socklen_t size;
	ssize_t got;

	own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (argc != 2 || inet_pton(AF_INET, argv[1], &address) != 1 ||
	    bind(fd, (struct sockaddr *)&own, sizeof(own))) {
		perror("nameserver ADDRESS");
		return 1;
	}
	for (;;) {
		size = sizeof(peer);
		got = recvfrom(fd, message, 512, 0, (struct sockaddr *)&peer, &size);
		if (got < HEADER + 5 || message[2] & 0x80 || message[5] != 1)
			continue;
		sendto(fd, message, answer(message, got, &address), 0, (struct sockaddr *)&peer, size);
	}
}
