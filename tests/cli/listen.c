/*
 * Ends of sockets that a shell cannot make:
 *
 *	listen manager PATH	a service manager's: prints each datagram; "@" is abstract
 *	listen mute PATH	a daemon's that hangs: takes connections and never answers
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int mute = argc == 3 && strcmp(argv[1], "mute") == 0;
	int fd = socket(AF_UNIX, mute ? SOCK_STREAM : SOCK_DGRAM, 0);
	char message[4096];
	socklen_t len;
	ssize_t got;

	if (argc != 3 || strlen(argv[2]) >= sizeof(at.sun_path))
		return 2;
	len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(argv[2]));
	memcpy(at.sun_path, argv[2], strlen(argv[2]));
	if (argv[2][0] == '@')
		at.sun_path[0] = '\0';
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, len) || (mute && listen(fd, 8))) {
		perror(argv[2]);
		return 1;
	}
	if (mute)
		pause();
	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((got = recv(fd, message, sizeof(message) - 1, 0)) >= 0)
		printf("%.*s\n", (int)got, message);
	return 1;
}
