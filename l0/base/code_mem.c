#include "l0/base/code_mem.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u /* the file cannot be executed, which is not what PROT_EXEC is about */
#endif

/* Where memfd_create() is forbidden. */
static const char *const places[] = {"/dev/shm", "/tmp", "/var/tmp"};

static int sized(int fd, u64 bytes)
{
	int err;

	if (fd < 0 || !ftruncate(fd, (off_t)bytes))
		return fd;
	err = errno;
	close(fd);
	errno = err;
	return -1;
}

int code_mem_create(u64 bytes)
{
	static const char name[] = "nestor-code";
	/* with vm.memfd_noexec = 2 only such, with an old kernel only others */
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_NOEXEC_SEAL), err;

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(name, MFD_CLOEXEC);
	fd = sized(fd, bytes);
	err = errno;
	for (u32 i = 0; fd < 0 && i < sizeof(places) / sizeof(places[0]); i++)
		fd = sized(open(places[i], O_TMPFILE | O_RDWR | O_CLOEXEC, 0600), bytes);
	return fd < 0 ? -err : fd;
}
