/* SPDX-License-Identifier: MIT */
/* Any bytes as an instruction, decoded by two decoders. The first byte says in which mode. Ends the process by cmocka.
 */
#include "tests/fuzz/fuzz.h"
#include "tests/unit/decode_zydis.h"
#include <stdbool.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool started;
	struct fuzz_input input = {data, size};
	uint8_t mode = fuzz_take8(&input) % DECODE_ZYDIS_MODES, bytes[DECODE_STRING_BYTES];

	if (!started)
		decode_zydis_start();
	started = true;
	for (unsigned i = 0; i < DECODE_STRING_BYTES; i++)
		bytes[i] = fuzz_take8(&input);
	decode_zydis_check(mode, bytes);
	return 0;
}
