/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * See mappings.h.  Raw system calls: those of the C library are interposed, by
 * ourselves or by somebody else.
 *
 * A mapping that another thread makes at the same moment may be missed; what
 * it maps is its own race with the change then, and a guest that meets it
 * faults (x86_cpu_host_fault()).
 */
#include "preload/mappings.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/bits.h"
#include "host/sys.h"

/* Magic numbers of statfs(2), for file systems that name the same device in stat and maps. */
#define TMPFS_MAGIC	0x01021994
#define HUGETLBFS_MAGIC 0x958458f6
#define EXT4_MAGIC	0xef53
#define XFS_MAGIC	0x58465342

/* One line of the maps file; without the name, which may be long. */
struct mapping {
	hva_t start, end;
	u64 offset;
	dev_t dev;
	u64 ino;
};

/* ---- reading ------------------------------------------------------------------------ */

struct reader {
	int fd;
	int last;    /* character; -1 at the end */
	bool failed; /* the rest cannot be told */
	long nr, at;
	char buf[4096];
};

static int next(struct reader *r)
{
	if (r->at == r->nr) {
		r->nr = host_call(maps, SYS_read, r->fd, r->buf, sizeof(r->buf));
		r->at = 0;
	}
	if (r->nr <= 0) {
		r->failed = r->failed || r->nr < 0;
		r->nr = r->at = 0;
		r->last = -1;
	} else {
		r->last = (unsigned char)r->buf[r->at++];
	}
	return r->last;
}

static int digit(int c, unsigned int base)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return base == 16 && c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A number and the one character after it. */
static u64 number(struct reader *r, unsigned int base)
{
	u64 value = 0;
	int d;

	while ((d = digit(next(r), base)) >= 0)
		value = value * base + (u64)d;
	return value;
}

/* Unless the last number took it with it. */
static void skip_past(struct reader *r, int wanted)
{
	while (r->last != wanted && r->last != -1)
		next(r);
}

/* "start-end perms offset major:minor inode  name\n" */
static bool next_mapping(struct reader *r, struct mapping *m)
{
	unsigned int maj, min;

	m->start = number(r, 16);
	m->end = number(r, 16);
	next(r);
	skip_past(r, ' ');
	m->offset = number(r, 16);
	maj = (unsigned int)number(r, 16);
	min = (unsigned int)number(r, 16);
	m->dev = makedev(maj, min);
	m->ino = number(r, 10);
	skip_past(r, '\n');
	return m->end > m->start;
}

static bool open_maps(struct reader *r)
{
	r->fd = (int)host_call(maps, SYS_openat, AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC);
	r->nr = r->at = 0;
	r->failed = r->fd < 0;
	return !r->failed;
}

/* False: the kernel has not told all, and there may be more mappings than were seen. */
static bool close_maps(struct reader *r)
{
	host_sure(SYS_close, r->fd);
	return !r->failed;
}

/* ---- collecting --------------------------------------------------------------------- */

static void add(struct mappings *out, hva_t start, hva_t end)
{
	if (start >= end || out->everywhere)
		return;
	if (out->nr == MAPPINGS_MAX)
		out->everywhere = true;
	else
		out->range[out->nr++] = (struct mapped_range){start, end};
}

/* The part of @m that maps [@start, @end) of its file. */
static void add_part(struct mappings *out, const struct mapping *m, u64 start, u64 end)
{
	u64 from = max_u64(start, m->offset);
	u64 to = min_u64(end, m->offset + (m->end - m->start));

	if (from < to)
		add(out, m->start + (from - m->offset), m->start + (to - m->offset));
}

static void add_mappings_of_file(struct mappings *out, dev_t dev, u64 ino, u64 start, u64 end)
{
	struct reader r;
	struct mapping m;

	if (!open_maps(&r)) {
		out->everywhere = true;
		return;
	}
	while (next_mapping(&r, &m)) {
		if (m.dev == dev && m.ino == ino)
			add_part(out, &m, start, end);
	}
	out->everywhere |= !close_maps(&r);
}

static bool same_device_in_maps(const struct statfs *fs)
{
	/* The type's sign depends on the architecture. */
	switch ((u32)fs->f_type) {
	case TMPFS_MAGIC:
	case HUGETLBFS_MAGIC:
	case EXT4_MAGIC:
	case XFS_MAGIC:
		return true;
	default:
		return false;
	}
}

/* By descriptor or by path, which @which is. */
static long stat_file(struct stat *st, struct statfs *fs, long nr_stat, long nr_statfs, u64 which)
{
	long err = host_call(maps_stat, nr_stat, which, st);

	return err ? err : host_call(maps_stat, nr_statfs, which, fs);
}

void mappings_of_fd(struct mappings *out, int fd, u64 start, u64 end)
{
	struct statfs fs;
	struct stat st;
	long err;

	*out = (struct mappings){0};
	err = stat_file(&st, &fs, SYS_fstat, SYS_fstatfs, fd);
	/* A bad descriptor is the kernel's to refuse. */
	if (err == -EBADF)
		return;
	if (!err && same_device_in_maps(&fs))
		add_mappings_of_file(out, st.st_dev, st.st_ino, start, end);
	else
		out->everywhere = true;
}

void mappings_of_path(struct mappings *out, const char *path, u64 start, u64 end)
{
	struct statfs fs;
	struct stat st;
	long err;

	*out = (struct mappings){0};
	err = stat_file(&st, &fs, SYS_stat, SYS_statfs, ptr_to_hva(path));
	/* So are a bad pointer, and a file that is not there. */
	if (err == -EFAULT || err == -ENOENT)
		return;
	if (!err && same_device_in_maps(&fs))
		add_mappings_of_file(out, st.st_dev, st.st_ino, start, end);
	else
		out->everywhere = true;
}

/* Is @m of the same file as @first, in its place beside it? */
static bool continues(const struct mapping *first, const struct mapping *m)
{
	return m->dev == first->dev && m->ino == first->ino &&
	       m->offset - m->start == first->offset - first->start;
}

void mappings_of_memory(struct mappings *out, hva_t start, hva_t end)
{
	struct mapping m, first = {0};
	struct reader r;
	u64 delta;

	*out = (struct mappings){0};
	if (!open_maps(&r)) {
		out->everywhere = true;
		return;
	}
	while (next_mapping(&r, &m)) {
		if (m.end <= start || m.start >= end)
			continue;
		if (!first.end)
			first = m;
		/* Of several files at once: not worth the trouble. */
		else if (!continues(&first, &m))
			out->everywhere = true;
	}
	out->everywhere |= !close_maps(&r);
	if (!first.ino)
		return; /* no file's */
	delta = first.offset - first.start;
	add_mappings_of_file(out, first.dev, first.ino, start + delta, end + delta);
}

void mappings_of_segment(struct mappings *out, hva_t addr)
{
	struct mapping m, first = {0};
	struct reader r;
	hva_t end = 0;

	*out = (struct mappings){0};
	if (!open_maps(&r)) {
		out->everywhere = true;
		return;
	}
	/* What has been cut out of it, or split by mprotect, leaves pieces. */
	while (next_mapping(&r, &m)) {
		if (m.start == addr)
			first = m;
		if (first.end && continues(&first, &m))
			end = m.end;
	}
	out->everywhere |= !close_maps(&r);
	add(out, addr, end);
}
