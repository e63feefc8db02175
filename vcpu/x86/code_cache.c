// SPDX-License-Identifier: BSD-2-Clause
/*
 * Cached blocks of decoded instructions, per vCPU.
 *
 * A block is keyed by the guest-physical address of its first byte and the
 * mode word.  It keeps a copy of its bytes: others (the program, other vCPUs,
 * devices) may write guest memory unseen, so a block that was last verified in
 * an older epoch is compared before it runs (SDM vol. 3, 9.1.3 asks no more of
 * cross-modifying code).  This vCPU's own stores are seen at once: a host page
 * with cached code never gets a write tag, and the slow path drops what it hits.
 *
 * Memory is one bump-allocated arena; when it is full everything goes.
 */
#include <string.h>

#include "vcpu/x86/core.h"

#define ARENA_BYTES	(16u << 20)
#define BLOCK_MAX_OPS	64
#define BLOCK_MAX_BYTES 512 /* with one more instruction still within op->rip */
#define BLOCK_HASH_LG2	14
#define PAGE_HASH_LG2	11
#define INSN_MAX	ZYDIS_MAX_INSTRUCTION_LENGTH
#define LINE_LG2	4
#define LINE_WORDS	(PAGE_SIZE >> LINE_LG2 >> 6)

struct x86_block {
	struct x86_block *hash_next;
	struct x86_block *page_next[2];
	gpa_t gpa[2];
	hva_t hva[2];
	const u8 *copy;
	u32 mode;
	u32 epoch;
	u16 bytes[2]; /* in the first page, in the second */
	u16 nr_ops;
	bool dead;
	struct x86_op ops[];
};

/* A host page with cached code. */
struct code_page {
	struct code_page *next;
	hva_t page;
	struct x86_block *blocks;
	u64 lines[LINE_WORDS]; /* 16-byte lines that blocks cover */
};

struct code_cache {
	struct x86_code_cache pub;
	u8 *arena;
	size_t used;
	struct x86_block *block_hash[1u << BLOCK_HASH_LG2];
	struct code_page *page_hash[1u << PAGE_HASH_LG2];
	struct x86_op alone[2];
};

static struct code_cache *cache_of(const struct x86_cpu *cpu)
{
	return (struct code_cache *)(void *)cpu->code;
}

int x86_code_create(struct x86_cpu *cpu)
{
	struct code_cache *cache = mmu_host_alloc(SITE_code_cache, sizeof(*cache));

	if (!cache)
		return -ENOMEM;
	cpu->code = &cache->pub;
	cache->pub.stamp = 1ull << 32;
	cache->arena = mmu_host_alloc_chunk(SITE_code_cache, ARENA_BYTES);
	return cache->arena ? 0 : -ENOMEM;
}

void x86_code_destroy(struct x86_cpu *cpu)
{
	struct code_cache *cache = cache_of(cpu);

	if (cache && cache->arena)
		mmu_host_free_chunk(cache->arena, ARENA_BYTES);
	mmu_host_free(cache);
}

/* Everything remembered bears the old stamp. When the stamps wrap, start over. */
void x86_code_forget_jumps(struct x86_cpu *cpu)
{
	struct code_cache *cache = cache_of(cpu);

	cpu->code->stamp += 1ull << 32;
	if (likely(cpu->code->stamp))
		return;
	memset(cpu->code->jump, 0, sizeof(cpu->code->jump));
	memset(cache->block_hash, 0, sizeof(cache->block_hash));
	cpu->code->stamp = 1ull << 32;
}

void x86_code_changed(struct x86_cpu *cpu)
{
	cpu->code->epoch++;
	x86_code_forget_jumps(cpu);
}

static void reset(struct x86_cpu *cpu)
{
	struct code_cache *cache = cache_of(cpu);

	memset(cache->block_hash, 0, sizeof(cache->block_hash));
	memset(cache->page_hash, 0, sizeof(cache->page_hash));
	cache->used = 0;
	x86_code_forget_jumps(cpu);
}

static void *arena_take(struct code_cache *cache, size_t bytes)
{
	void *at = cache->arena + cache->used;

	cache->used += (bytes + 15) & ~(size_t)15;
	KVMU_BUG_ON(cache->used > ARENA_BYTES);
	return at;
}

/* ---- pages with code ------------------------------------------------------------------ */

static struct code_page **page_bucket(struct code_cache *cache, hva_t page)
{
	u64 n = page >> PAGE_SHIFT;

	return &cache->page_hash[(n ^ (n >> PAGE_HASH_LG2)) & ((1u << PAGE_HASH_LG2) - 1)];
}

static struct code_page *find_page(const struct x86_cpu *cpu, hva_t hva)
{
	struct code_page *page = *page_bucket(cache_of(cpu), hva & PAGE_MASK);

	while (page && page->page != (hva & PAGE_MASK))
		page = page->next;
	return page;
}

bool x86_code_holds(const struct x86_cpu *cpu, hva_t hva)
{
	return find_page(cpu, hva) != NULL;
}

static struct code_page *make_page(struct x86_cpu *cpu, hva_t hva)
{
	struct code_page *page = find_page(cpu, hva), **bucket;

	if (page)
		return page;
	bucket = page_bucket(cache_of(cpu), hva & PAGE_MASK);
	page = arena_take(cache_of(cpu), sizeof(*page));
	*page = (struct code_page){.next = *bucket, .page = hva & PAGE_MASK};
	*bucket = page;
	x86_tlb_withdraw_writes(cpu, page->page);
	return page;
}

static void drop_page(struct x86_cpu *cpu, const struct code_page *page)
{
	struct code_page **at = page_bucket(cache_of(cpu), page->page);

	while (*at != page)
		at = &(*at)->next;
	*at = page->next;
}

static void mark_lines(struct code_page *page, hva_t hva, unsigned int bytes)
{
	unsigned int first = (unsigned int)((hva & ~PAGE_MASK) >> LINE_LG2);
	unsigned int last = (unsigned int)(((hva & ~PAGE_MASK) + bytes - 1) >> LINE_LG2);

	for (unsigned int i = first; i <= last; i++)
		page->lines[i / 64] |= BIT_ULL(i % 64);
}

static bool lines_hit(const struct code_page *page, hva_t hva, u64 bytes)
{
	unsigned int first = (unsigned int)((hva & ~PAGE_MASK) >> LINE_LG2);
	unsigned int last = (unsigned int)(((hva & ~PAGE_MASK) + bytes - 1) >> LINE_LG2);

	for (unsigned int i = first; i <= last; i++)
		if (page->lines[i / 64] & BIT_ULL(i % 64))
			return true;
	return false;
}

/* Which part of @block lies in @page. */
static unsigned int part_in(const struct x86_block *block, const struct code_page *page)
{
	return (block->hva[0] & PAGE_MASK) == page->page ? 0 : 1;
}

static void register_block(struct x86_cpu *cpu, struct x86_block *block)
{
	for (unsigned int part = 0; part < 2 && block->bytes[part]; part++) {
		struct code_page *page = make_page(cpu, block->hva[part]);

		mark_lines(page, block->hva[part], block->bytes[part]);
		block->page_next[part] = page->blocks;
		page->blocks = block;
	}
}

/* ---- blocks ------------------------------------------------------------------------------ */

static struct x86_block **block_bucket(struct code_cache *cache, gpa_t gpa, u32 mode)
{
	u64 n = gpa ^ (gpa >> BLOCK_HASH_LG2) ^ ((u64)mode * 0x9e5);

	return &cache->block_hash[n & ((1u << BLOCK_HASH_LG2) - 1)];
}

static void kill_block(struct x86_cpu *cpu, struct x86_block *block)
{
	struct x86_block **at = block_bucket(cache_of(cpu), block->gpa[0], block->mode);

	while (*at && *at != block)
		at = &(*at)->hash_next;
	if (*at)
		*at = block->hash_next;
	block->dead = true;
}

static bool hits(const struct x86_block *block, hva_t hva, u64 bytes)
{
	for (unsigned int part = 0; part < 2; part++)
		if (block->bytes[part] && hva < block->hva[part] + block->bytes[part] &&
		    block->hva[part] < hva + bytes)
			return true;
	return false;
}

/* The block @op belongs to: its first operation is the one at offset 0. */
static const struct x86_block *block_of(const struct x86_op *op)
{
	while (op->rip)
		op--;
	return container_of(op, struct x86_block, ops[0]);
}

/* Keep only live blocks on the page's list, and the lines they cover. */
static void tidy_page(struct x86_cpu *cpu, struct code_page *page)
{
	struct x86_block *block = page->blocks, *next;

	page->blocks = NULL;
	memset(page->lines, 0, sizeof(page->lines));
	for (; block; block = next) {
		unsigned int part = part_in(block, page);

		next = block->page_next[part];
		if (block->dead)
			continue;
		mark_lines(page, block->hva[part], block->bytes[part]);
		block->page_next[part] = page->blocks;
		page->blocks = block;
	}
	if (!page->blocks)
		drop_page(cpu, page);
}

void x86_code_store(struct x86_cpu *cpu, hva_t hva, u64 bytes)
{
	struct code_page *page = find_page(cpu, hva);
	bool killed = false;

	if (!page || !lines_hit(page, hva, bytes))
		return;
	/* What follows in the running block would be the old code. */
	if (cpu->op && !cpu->run.careful && hits(block_of(cpu->op), hva, bytes))
		x86_unwind(cpu, X86_UNWIND_ALONE);
	for (struct x86_block *block = page->blocks; block;
	     block = block->page_next[part_in(block, page)]) {
		if (block->dead || !hits(block, hva, bytes))
			continue;
		kill_block(cpu, block);
		killed = true;
	}
	if (killed)
		x86_code_forget_jumps(cpu);
	tidy_page(cpu, page);
}

/* ---- fetching ----------------------------------------------------------------------------- */

/* What the fetch unit sees from RIP on. */
struct fetch {
	u8 bytes[BLOCK_MAX_BYTES + INSN_MAX];
	unsigned int avail; /* in the first page, and inside the segment limit */
	bool at_limit;	    /* the segment ends there, not the page */
	struct x86_place place;
	u64 linear;
};

static enum x86_tlb_bank fetch_bank(const struct x86_cpu *cpu)
{
	return x86_current_bank(cpu);
}

static void fetch_first(struct x86_cpu *cpu, struct fetch *f)
{
	u64 rip = cpu->regs[X86_REG_RIP], left;

	f->linear = x86_linear_rip(cpu);
	f->at_limit = false;
	left = PAGE_SIZE - (f->linear & ~PAGE_MASK);
	if (!(cpu->mode & X86_MODE_CS64)) {
		u64 limit = cpu->seg[X86_CS].limit;

		if (rip > limit)
			x86_raise_code(cpu, X86_GP, 0);
		if (limit - rip + 1 <= left) {
			left = limit - rip + 1;
			f->at_limit = true;
		}
	}
	f->place = x86_tlb_translate(cpu, f->linear, X86_ACCESS_EXEC, fetch_bank(cpu));
	if (f->place.mmio)
		x86_unsupported(cpu);
	f->avail = (unsigned int)min_u64(left, BLOCK_MAX_BYTES);
	memcpy(f->bytes, hva_to_ptr(f->place.hva), f->avail);
}

/* The instruction at RIP goes on in the next page. */
static struct x86_place fetch_second(struct x86_cpu *cpu, struct fetch *f, unsigned int bytes)
{
	u64 linear = (f->linear & PAGE_MASK) + PAGE_SIZE;
	struct x86_place place;

	if (f->at_limit)
		x86_raise_code(cpu, X86_GP, 0);
	if (!x86_long_mode(cpu))
		linear = (u32)linear;
	place = x86_tlb_translate(cpu, linear, X86_ACCESS_EXEC, fetch_bank(cpu));
	if (place.mmio)
		x86_unsupported(cpu);
	memcpy(f->bytes + f->avail, hva_to_ptr(place.hva), bytes);
	return place;
}

/* One instruction that may cross; returns the bytes taken from the second page. */
static unsigned int decode_crossing(struct x86_cpu *cpu, struct fetch *f, struct x86_op *op,
				    struct x86_place *second)
{
	enum x86_decode_result result;
	unsigned int more;

	/* All of it is here, and it has no end: prefixes, mostly. */
	if (f->avail >= INSN_MAX)
		x86_raise_code(cpu, X86_GP, 0);
	more = INSN_MAX - f->avail;
	*second = fetch_second(cpu, f, more);
	result = x86_decode_one(cpu->mode, f->bytes, f->avail + more, 0, op);
	if (result == X86_DECODE_TOO_LONG)
		x86_raise_code(cpu, X86_GP, 0);
	return op->len > f->avail ? op->len - f->avail : 0;
}

/* ---- finding and building -------------------------------------------------------------------- */

static const struct x86_op *remember(struct x86_cpu *cpu, u64 linear, const struct x86_op *op)
{
	struct x86_jump *jump = &cpu->code->jump[x86_jump_index(linear)];

	*jump = (struct x86_jump){.rip = linear, .key = cpu->code->stamp | cpu->mode, .op = op};
	return op;
}

/* As many operations as fit; the bytes they take in the first page. */
static unsigned int decode_block(struct x86_cpu *cpu, const struct fetch *f,
				 struct x86_block *block)
{
	unsigned int offset = 0;

	while (block->nr_ops < BLOCK_MAX_OPS && offset < f->avail) {
		struct x86_op *op = &block->ops[block->nr_ops];
		enum x86_decode_result result =
			x86_decode_one(cpu->mode, f->bytes + offset, f->avail - offset, offset, op);

		if (result == X86_DECODE_MORE || result == X86_DECODE_TOO_LONG)
			break;
		if (op->len > f->avail - offset)
			break;
		op->nth = block->nr_ops++ & 63u;
		offset += op->len;
		if (result == X86_DECODE_LAST)
			break;
	}
	return offset;
}

static struct x86_block *build(struct x86_cpu *cpu, struct fetch *f)
{
	struct code_cache *cache = cache_of(cpu);
	const size_t most = sizeof(struct x86_block) + (BLOCK_MAX_OPS + 1) * sizeof(struct x86_op) +
			    BLOCK_MAX_BYTES + INSN_MAX + 2 * sizeof(struct code_page) + 64;
	struct x86_block *block;
	struct x86_place second = {0};
	unsigned int total;
	u8 *copy;

	if (cache->used + most > ARENA_BYTES)
		reset(cpu);
	block = (struct x86_block *)(void *)(cache->arena + cache->used);
	*block = (struct x86_block){
		.gpa = {f->place.gpa, INVALID_GPA},
		.hva = {f->place.hva, 0},
		.mode = cpu->mode,
		.epoch = cpu->code->epoch,
	};
	block->bytes[0] = (u16)decode_block(cpu, f, block);
	if (!block->nr_ops) {
		block->bytes[1] = (u16)decode_crossing(cpu, f, &block->ops[0], &second);
		block->bytes[0] = (u16)(block->ops[0].len - block->bytes[1]);
		block->gpa[1] = second.gpa;
		block->hva[1] = second.hva;
		block->nr_ops = 1;
	}
	total = block->bytes[0] + block->bytes[1];
	x86_decode_end(&block->ops[block->nr_ops], total, block->nr_ops - 1u);
	arena_take(cache, sizeof(*block) + (block->nr_ops + 1u) * sizeof(struct x86_op));
	copy = arena_take(cache, total);
	memcpy(copy, f->bytes, total);
	block->copy = copy;
	return block;
}

/* Is the cached block what memory holds, where it is mapped now? */
static bool verify(struct x86_cpu *cpu, struct x86_block *block, const struct fetch *f)
{
	hva_t second = 0;

	if (block->bytes[0] > f->avail)
		return false;
	if (block->bytes[1]) {
		struct x86_place place =
			x86_tlb_translate(cpu,
					  x86_long_mode(cpu) ? f->linear + block->bytes[0]
							     : (u32)(f->linear + block->bytes[0]),
					  X86_ACCESS_EXEC, fetch_bank(cpu));

		if (place.mmio || place.gpa != block->gpa[1])
			return false;
		second = place.hva;
	}
	if (block->epoch == cpu->code->epoch && block->hva[0] == f->place.hva &&
	    block->hva[1] == second)
		return true;
	/* Registered for the old place: build anew where it is now. */
	if (block->hva[0] != f->place.hva || block->hva[1] != second)
		return false;
	if (memcmp(block->copy, hva_to_ptr(block->hva[0]), block->bytes[0]))
		return false;
	if (block->bytes[1] &&
	    memcmp(block->copy + block->bytes[0], hva_to_ptr(second), block->bytes[1]))
		return false;
	block->epoch = cpu->code->epoch;
	return true;
}

static struct x86_block *find_block(struct x86_cpu *cpu, gpa_t gpa)
{
	struct x86_block *block = *block_bucket(cache_of(cpu), gpa, cpu->mode);

	while (block && (block->gpa[0] != gpa || block->mode != cpu->mode))
		block = block->hash_next;
	return block;
}

/* Room from RIP on, without looking at the bytes. */
static void locate(struct x86_cpu *cpu, struct fetch *f)
{
	u64 left;

	f->linear = x86_linear_rip(cpu);
	left = PAGE_SIZE - (f->linear & ~PAGE_MASK);
	if (!(cpu->mode & X86_MODE_CS64)) {
		u64 rip = cpu->regs[X86_REG_RIP], limit = cpu->seg[X86_CS].limit;

		if (rip > limit)
			x86_raise_code(cpu, X86_GP, 0);
		left = min_u64(left, limit - rip + 1);
	}
	f->place = x86_tlb_translate(cpu, f->linear, X86_ACCESS_EXEC, fetch_bank(cpu));
	if (f->place.mmio)
		x86_unsupported(cpu);
	f->avail = (unsigned int)left;
}

const struct x86_op *x86_code_find(struct x86_cpu *cpu)
{
	struct x86_block *block, **bucket;
	struct fetch f;

	locate(cpu, &f);
	block = find_block(cpu, f.place.gpa);
	if (block && verify(cpu, block, &f))
		return remember(cpu, f.linear, block->ops);
	if (block)
		kill_block(cpu, block);
	fetch_first(cpu, &f);
	block = build(cpu, &f);
	register_block(cpu, block);
	bucket = block_bucket(cache_of(cpu), f.place.gpa, cpu->mode);
	block->hash_next = *bucket;
	*bucket = block;
	return remember(cpu, f.linear, block->ops);
}

static const struct x86_op *leave_after_alone(struct x86_cpu *cpu, const struct x86_op *op)
{
	return x86_done_at(cpu, op, x86_wrap_rip(cpu, x86_op_rip(cpu, op)));
}

const struct x86_op *x86_code_alone(struct x86_cpu *cpu)
{
	struct x86_op *op = cache_of(cpu)->alone;
	enum x86_decode_result result;
	struct x86_place second;
	struct fetch f;

	fetch_first(cpu, &f);
	result = x86_decode_one(cpu->mode, f.bytes, f.avail, 0, op);
	if (result == X86_DECODE_TOO_LONG)
		x86_raise_code(cpu, X86_GP, 0);
	if (result == X86_DECODE_MORE)
		decode_crossing(cpu, &f, op, &second);
	op[1] = (struct x86_op){.fn = leave_after_alone, .rip = op->len};
	return op;
}

const struct x86_op *x86_chain_link(struct x86_cpu *cpu, const struct x86_op *op, u64 rip)
{
	const struct x86_op *to = x86_chain(cpu, op, rip);
	struct x86_op *writable = (struct x86_op *)(uintptr_t)op;

	if (!to)
		return NULL;
	memcpy(&writable->dst, &to, sizeof(to));
	writable->aux32 = (u32)(cpu->code->stamp >> 32);
	return to;
}
