/* SPDX-License-Identifier: MIT */
/*
 * Vector moves, one row a form: ROW(name, what it needs of the CPU, assembly with its operand at (%rdi), the decoded
 * instruction). Registers are chosen so that each state component has some.
 */
#ifndef TESTS_VECTOR_ROWS_H
#define TESTS_VECTOR_ROWS_H

#include "mmio/insn.h"

/* What CPUID and XCR0 have to say. */
enum vector_need {
	NEED_SSE = 0,
	NEED_AVX = 1 << 0,
	NEED_AVX2 = 1 << 1,
	NEED_F = 1 << 2, /* AVX-512 and its extensions */
	NEED_BW = 1 << 3,
	NEED_DQ = 1 << 4,
	NEED_VL = 1 << 5,
	NEED_SSE41 = 1 << 6,
};

#define MEM                   "(%%rdi)"
#define LOAD                  .op = INSN_VECTOR_LOAD, .access = INSN_READ
#define STORE                 .op = INSN_VECTOR_STORE, .access = INSN_WRITE
#define VEX                   .encoding = ENCODING_VEX
#define EVEX                  .encoding = ENCODING_EVEX
#define SIZES(memory, vector) .memory_size = (memory), .vector_length = (vector)
#define ALIGNED               .flags = INSN_ALIGNED

#define SSE_ROWS(ROW)                                                                                              \
	ROW(movd_load, NEED_SSE, "movd " MEM ", %%xmm1", LOAD, .reg = 1, SIZES(4, 16))                             \
	ROW(movq_load, NEED_SSE, "movq " MEM ", %%xmm15", LOAD, .reg = 15, SIZES(8, 16))                           \
	ROW(movss_load, NEED_SSE, "movss " MEM ", %%xmm0", LOAD, .reg = 0, SIZES(4, 16))                           \
	ROW(movsd_load, NEED_SSE, "movsd " MEM ", %%xmm9", LOAD, .reg = 9, SIZES(8, 16))                           \
	ROW(movups_load, NEED_SSE, "movups " MEM ", %%xmm3", LOAD, .reg = 3, SIZES(16, 16))                        \
	ROW(movdqa_load, NEED_SSE, "movdqa " MEM ", %%xmm8", LOAD, .reg = 8, SIZES(16, 16), ALIGNED)               \
	ROW(movntdqa, NEED_SSE41, "movntdqa " MEM ", %%xmm2", LOAD, .reg = 2, SIZES(16, 16), ALIGNED)              \
	ROW(movd_store, NEED_SSE, "movd %%xmm1, " MEM, STORE, .reg = 1, SIZES(4, 16))                              \
	ROW(movq_store, NEED_SSE, "movq %%xmm15, " MEM, STORE, .reg = 15, SIZES(8, 16))                            \
	ROW(movss_store, NEED_SSE, "movss %%xmm0, " MEM, STORE, .reg = 0, SIZES(4, 16))                            \
	ROW(movups_store, NEED_SSE, "movups %%xmm7, " MEM, STORE, .reg = 7, SIZES(16, 16))                         \
	ROW(movntdq, NEED_SSE, "movntdq %%xmm12, " MEM, STORE, .reg = 12, SIZES(16, 16), ALIGNED)                  \
	ROW(movlps, NEED_SSE, "movlps " MEM ", %%xmm4", .op = INSN_VECTOR_LOAD_LOW, .reg = 4, SIZES(8, 16))        \
	ROW(movhps, NEED_SSE, "movhps " MEM ", %%xmm14", .op = INSN_VECTOR_LOAD_HIGH, .reg = 14, SIZES(8, 16))     \
	ROW(movlpd_store, NEED_SSE, "movlpd %%xmm4, " MEM, STORE, .reg = 4, SIZES(8, 16))                          \
	ROW(movhpd_store, NEED_SSE, "movhpd %%xmm5, " MEM, .op = INSN_VECTOR_STORE_HIGH, .access = INSN_WRITE,     \
	    .reg = 5, SIZES(8, 16))                                                                                \
	ROW(movddup, NEED_SSE41, "movddup " MEM ", %%xmm6", .op = INSN_VECTOR_DUPLICATE, .element = 8, .reg = 6,   \
	    SIZES(8, 16))                                                                                          \
	ROW(movsldup, NEED_SSE41, "movsldup " MEM ", %%xmm6", .op = INSN_VECTOR_DUPLICATE_EVEN, .element = 4,      \
	    .reg = 6, SIZES(16, 16), ALIGNED)                                                                      \
	ROW(movshdup, NEED_SSE41, "movshdup " MEM ", %%xmm11", .op = INSN_VECTOR_DUPLICATE_ODD, .element = 4,      \
	    .reg = 11, SIZES(16, 16), ALIGNED)                                                                     \
	ROW(pinsrb, NEED_SSE41, "pinsrb $0x7d, " MEM ", %%xmm2", .op = INSN_VECTOR_INSERT, .reg = 2, .imm = 0x7d,  \
	    SIZES(1, 16))                                                                                          \
	ROW(pinsrw, NEED_SSE, "pinsrw $6, " MEM ", %%xmm10", .op = INSN_VECTOR_INSERT, .reg = 10, .imm = 6,        \
	    SIZES(2, 16))                                                                                          \
	ROW(pinsrq, NEED_SSE41, "pinsrq $1, " MEM ", %%xmm3", .op = INSN_VECTOR_INSERT, .reg = 3, .imm = 1,        \
	    SIZES(8, 16))                                                                                          \
	ROW(insertps, NEED_SSE41, "insertps $0xe9, " MEM ", %%xmm3", .op = INSN_VECTOR_INSERT, .reg = 3, .imm = 2, \
	    .detail = 9, SIZES(4, 16))                                                                             \
	ROW(pextrb, NEED_SSE41, "pextrb $0x9b, %%xmm1, " MEM, .op = INSN_VECTOR_EXTRACT, .access = INSN_WRITE,     \
	    .reg = 1, .imm = 0x9b, SIZES(1, 16))                                                                   \
	ROW(pextrw, NEED_SSE41, "pextrw $5, %%xmm13, " MEM, .op = INSN_VECTOR_EXTRACT, .access = INSN_WRITE,       \
	    .reg = 13, .imm = 5, SIZES(2, 16))                                                                     \
	ROW(extractps, NEED_SSE41, "extractps $3, %%xmm2, " MEM, .op = INSN_VECTOR_EXTRACT, .access = INSN_WRITE,  \
	    .reg = 2, .imm = 3, SIZES(4, 16))                                                                      \
	ROW(maskmovdqu, NEED_SSE, "maskmovdqu %%xmm4, %%xmm9", .op = INSN_VECTOR_MASKMOV, .access = INSN_WRITE,    \
	    .element = 1, .reg = 9, .reg2 = 4, SIZES(16, 16))                                                      \
	ROW(ldmxcsr, NEED_SSE, "ldmxcsr " MEM, .op = INSN_LDMXCSR, SIZES(4, 16))                                   \
	ROW(stmxcsr, NEED_SSE, "stmxcsr " MEM, .op = INSN_STMXCSR, .access = INSN_WRITE, SIZES(4, 16))             \
	ROW(mmx_movd_load, NEED_SSE, "movd " MEM ", %%mm3", .op = INSN_MMX_LOAD, .reg = 3, SIZES(4, 8))            \
	ROW(mmx_movq_load, NEED_SSE, "movq " MEM ", %%mm7", .op = INSN_MMX_LOAD, .reg = 7, SIZES(8, 8))            \
	ROW(mmx_movd_store, NEED_SSE, "movd %%mm0, " MEM, .op = INSN_MMX_STORE, .access = INSN_WRITE, .reg = 0,    \
	    SIZES(4, 8))                                                                                           \
	ROW(mmx_movntq, NEED_SSE, "movntq %%mm5, " MEM, .op = INSN_MMX_STORE, .access = INSN_WRITE, .reg = 5,      \
	    SIZES(8, 8))                                                                                           \
	ROW(mmx_pinsrw, NEED_SSE, "pinsrw $7, " MEM ", %%mm2", .op = INSN_VECTOR_INSERT, .reg = 2, .imm = 7,       \
	    SIZES(2, 8))                                                                                           \
	ROW(maskmovq, NEED_SSE, "maskmovq %%mm6, %%mm1", .op = INSN_VECTOR_MASKMOV, .access = INSN_WRITE,          \
	    .element = 1, .reg = 1, .reg2 = 6, SIZES(8, 8))

#define VEX_ROWS(ROW)                                                                                                  \
	ROW(vmovd_load, NEED_AVX, "vmovd " MEM ", %%xmm1", LOAD, VEX, .reg = 1, SIZES(4, 16))                          \
	ROW(vmovsd_load, NEED_AVX, "vmovsd " MEM ", %%xmm11", LOAD, VEX, .reg = 11, SIZES(8, 16))                      \
	ROW(vmovups_load, NEED_AVX, "vmovups " MEM ", %%xmm3", LOAD, VEX, .reg = 3, SIZES(16, 16))                     \
	ROW(vmovups_ymm, NEED_AVX, "vmovups " MEM ", %%ymm12", LOAD, VEX, .reg = 12, SIZES(32, 32))                    \
	ROW(vmovdqa_ymm, NEED_AVX, "vmovdqa " MEM ", %%ymm5", LOAD, VEX, .reg = 5, SIZES(32, 32), ALIGNED)             \
	ROW(vlddqu_ymm, NEED_AVX, "vlddqu " MEM ", %%ymm0", LOAD, VEX, .reg = 0, SIZES(32, 32))                        \
	ROW(vmovq_store, NEED_AVX, "vmovq %%xmm2, " MEM, STORE, VEX, .reg = 2, SIZES(8, 16))                           \
	ROW(vmovups_store, NEED_AVX, "vmovups %%xmm2, " MEM, STORE, VEX, .reg = 2, SIZES(16, 16))                      \
	ROW(vmovdqu_store, NEED_AVX, "vmovdqu %%ymm15, " MEM, STORE, VEX, .reg = 15, SIZES(32, 32))                    \
	ROW(vmovntps, NEED_AVX, "vmovntps %%ymm6, " MEM, STORE, VEX, .reg = 6, SIZES(32, 32), ALIGNED)                 \
	ROW(vmovlps, NEED_AVX, "vmovlps " MEM ", %%xmm2, %%xmm9", .op = INSN_VECTOR_LOAD_LOW, VEX, .reg = 9,           \
	    .reg2 = 2, SIZES(8, 16))                                                                                   \
	ROW(vmovhpd, NEED_AVX, "vmovhpd " MEM ", %%xmm12, %%xmm3", .op = INSN_VECTOR_LOAD_HIGH, VEX, .reg = 3,         \
	    .reg2 = 12, SIZES(8, 16))                                                                                  \
	ROW(vmovhps_store, NEED_AVX, "vmovhps %%xmm3, " MEM, .op = INSN_VECTOR_STORE_HIGH, .access = INSN_WRITE, VEX,  \
	    .reg = 3, SIZES(8, 16))                                                                                    \
	ROW(vmovddup, NEED_AVX, "vmovddup " MEM ", %%xmm6", .op = INSN_VECTOR_DUPLICATE, VEX, .reg = 6, SIZES(8, 16))  \
	ROW(vmovddup_ymm, NEED_AVX, "vmovddup " MEM ", %%ymm6", .op = INSN_VECTOR_DUPLICATE, VEX, .reg = 6,            \
	    SIZES(32, 32))                                                                                             \
	ROW(vmovsldup_ymm, NEED_AVX, "vmovsldup " MEM ", %%ymm7", .op = INSN_VECTOR_DUPLICATE_EVEN, VEX, .reg = 7,     \
	    SIZES(32, 32))                                                                                             \
	ROW(vmovshdup_ymm, NEED_AVX, "vmovshdup " MEM ", %%ymm8", .op = INSN_VECTOR_DUPLICATE_ODD, VEX, .reg = 8,      \
	    SIZES(32, 32))                                                                                             \
	ROW(vbroadcastss, NEED_AVX, "vbroadcastss " MEM ", %%ymm13", .op = INSN_VECTOR_BROADCAST, VEX, .reg = 13,      \
	    SIZES(4, 32))                                                                                              \
	ROW(vbroadcastf128, NEED_AVX, "vbroadcastf128 " MEM ", %%ymm1", .op = INSN_VECTOR_BROADCAST, VEX, .reg = 1,    \
	    SIZES(16, 32))                                                                                             \
	ROW(vpbroadcastb, NEED_AVX2, "vpbroadcastb " MEM ", %%xmm4", .op = INSN_VECTOR_BROADCAST, VEX, .reg = 4,       \
	    SIZES(1, 16))                                                                                              \
	ROW(vpbroadcastq, NEED_AVX2, "vpbroadcastq " MEM ", %%ymm4", .op = INSN_VECTOR_BROADCAST, VEX, .reg = 4,       \
	    SIZES(8, 32))                                                                                              \
	ROW(vpinsrd, NEED_AVX, "vpinsrd $2, " MEM ", %%xmm8, %%xmm1", .op = INSN_VECTOR_INSERT, VEX, .reg = 1,         \
	    .reg2 = 8, .imm = 2, SIZES(4, 16))                                                                         \
	ROW(vinsertps, NEED_AVX, "vinsertps $0x36, " MEM ", %%xmm8, %%xmm1", .op = INSN_VECTOR_INSERT, VEX, .reg = 1,  \
	    .reg2 = 8, .imm = 3, .detail = 6, SIZES(4, 16))                                                            \
	ROW(vinsertf128, NEED_AVX, "vinsertf128 $0xf3, " MEM ", %%ymm9, %%ymm2", .op = INSN_VECTOR_INSERT, VEX,        \
	    .reg = 2, .reg2 = 9, .imm = 0xf3, SIZES(16, 32))                                                           \
	ROW(vpextrd, NEED_AVX, "vpextrd $1, %%xmm14, " MEM, .op = INSN_VECTOR_EXTRACT, .access = INSN_WRITE, VEX,      \
	    .reg = 14, .imm = 1, SIZES(4, 16))                                                                         \
	ROW(vextracti128, NEED_AVX2, "vextracti128 $1, %%ymm14, " MEM, .op = INSN_VECTOR_EXTRACT,                      \
	    .access = INSN_WRITE, VEX, .reg = 14, .imm = 1, SIZES(16, 32))                                             \
	ROW(vmaskmovps_load, NEED_AVX, "vmaskmovps " MEM ", %%ymm1, %%ymm14", .op = INSN_VECTOR_MASKED_LOAD, VEX,      \
	    .element = 4, .reg = 14, .reg2 = 1, SIZES(32, 32))                                                         \
	ROW(vpmaskmovq_load, NEED_AVX2, "vpmaskmovq " MEM ", %%xmm10, %%xmm4", .op = INSN_VECTOR_MASKED_LOAD, VEX,     \
	    .element = 8, .reg = 4, .reg2 = 10, SIZES(16, 16))                                                         \
	ROW(vmaskmovpd_store, NEED_AVX, "vmaskmovpd %%ymm3, %%ymm9, " MEM, .op = INSN_VECTOR_MASKED_STORE,             \
	    .access = INSN_WRITE, VEX, .element = 8, .reg = 3, .reg2 = 9, SIZES(32, 32))                               \
	ROW(vpmaskmovd_store, NEED_AVX2, "vpmaskmovd %%xmm3, %%xmm9, " MEM, .op = INSN_VECTOR_MASKED_STORE,            \
	    .access = INSN_WRITE, VEX, .element = 4, .reg = 3, .reg2 = 9, SIZES(16, 16))                               \
	ROW(vmaskmovdqu, NEED_AVX, "vmaskmovdqu %%xmm4, %%xmm9", .op = INSN_VECTOR_MASKMOV, .access = INSN_WRITE, VEX, \
	    .element = 1, .reg = 9, .reg2 = 4, SIZES(16, 16))                                                          \
	ROW(vldmxcsr, NEED_AVX, "vldmxcsr " MEM, .op = INSN_LDMXCSR, VEX, SIZES(4, 16))                                \
	ROW(vstmxcsr, NEED_AVX, "vstmxcsr " MEM, .op = INSN_STMXCSR, .access = INSN_WRITE, VEX, SIZES(4, 16))          \
	ROW(kmovb_load, NEED_F | NEED_DQ, "kmovb " MEM ", %%k1", .op = INSN_OPMASK_LOAD, VEX, .reg = 1, SIZES(1, 16))  \
	ROW(kmovw_load, NEED_F, "kmovw " MEM ", %%k0", .op = INSN_OPMASK_LOAD, VEX, .reg = 0, SIZES(2, 16))            \
	ROW(kmovd_load, NEED_F | NEED_BW, "kmovd " MEM ", %%k7", .op = INSN_OPMASK_LOAD, VEX, .reg = 7, SIZES(4, 16))  \
	ROW(kmovq_load, NEED_F | NEED_BW, "kmovq " MEM ", %%k3", .op = INSN_OPMASK_LOAD, VEX, .reg = 3, SIZES(8, 16))  \
	ROW(kmovw_store, NEED_F, "kmovw %%k2, " MEM, .op = INSN_OPMASK_STORE, .access = INSN_WRITE, VEX, .reg = 2,     \
	    SIZES(2, 16))                                                                                              \
	ROW(kmovq_store, NEED_F | NEED_BW, "kmovq %%k5, " MEM, .op = INSN_OPMASK_STORE, .access = INSN_WRITE, VEX,     \
	    .reg = 5, SIZES(8, 16))

#define MASKED(k, size) .opmask = (k), .element = (size)
#define ZEROED          .flags = INSN_ZEROING

#define EVEX_ROWS(ROW)                                                                                                 \
	ROW(evex_movups_xmm, NEED_F | NEED_VL, "vmovups " MEM ", %%xmm17", LOAD, EVEX, .element = 4, .reg = 17,        \
	    SIZES(16, 16))                                                                                             \
	ROW(evex_movups_ymm, NEED_F | NEED_VL, "vmovups " MEM ", %%ymm30", LOAD, EVEX, .element = 4, .reg = 30,        \
	    SIZES(32, 32))                                                                                             \
	ROW(evex_movups_zmm, NEED_F, "vmovups " MEM ", %%zmm5", LOAD, EVEX, .element = 4, .reg = 5, SIZES(64, 64))     \
	ROW(evex_movdqa64, NEED_F, "vmovdqa64 " MEM ", %%zmm31", LOAD, EVEX, .reg = 31, SIZES(64, 64), ALIGNED)        \
	ROW(evex_movd, NEED_F, "vmovd " MEM ", %%xmm20", LOAD, EVEX, .reg = 20, SIZES(4, 16))                          \
	ROW(evex_movups_m, NEED_F, "vmovups " MEM ", %%zmm6%{%%k1%}", LOAD, EVEX, MASKED(1, 4), .reg = 6,              \
	    SIZES(64, 64))                                                                                             \
	ROW(evex_movupd_z, NEED_F, "vmovupd " MEM ", %%zmm21%{%%k7%}%{z%}", LOAD, EVEX, MASKED(7, 8), ZEROED,          \
	    .reg = 21, SIZES(64, 64))                                                                                  \
	ROW(evex_movupd_xmm_m, NEED_F | NEED_VL, "vmovupd " MEM ", %%xmm6%{%%k1%}", LOAD, EVEX, MASKED(1, 8),          \
	    .reg = 6, SIZES(16, 16))                                                                                   \
	ROW(evex_movdqu8_m, NEED_F | NEED_BW, "vmovdqu8 " MEM ", %%zmm7%{%%k2%}", LOAD, EVEX, MASKED(2, 1), .reg = 7,  \
	    SIZES(64, 64))                                                                                             \
	ROW(evex_movdqu16_z, NEED_F | NEED_BW | NEED_VL, "vmovdqu16 " MEM ", %%ymm19%{%%k3%}%{z%}", LOAD, EVEX,        \
	    MASKED(3, 2), ZEROED, .reg = 19, SIZES(32, 32))                                                            \
	ROW(evex_movss_m, NEED_F, "vmovss " MEM ", %%xmm22%{%%k4%}", LOAD, EVEX, MASKED(4, 4), .reg = 22,              \
	    SIZES(4, 16))                                                                                              \
	ROW(evex_movsd_z, NEED_F, "vmovsd " MEM ", %%xmm3%{%%k5%}%{z%}", LOAD, EVEX, MASKED(5, 8), ZEROED, .reg = 3,   \
	    SIZES(8, 16))                                                                                              \
	ROW(evex_movups_store, NEED_F, "vmovups %%zmm24, " MEM, STORE, EVEX, .element = 4, .reg = 24, SIZES(64, 64))   \
	ROW(evex_movups_store_m, NEED_F, "vmovups %%zmm4, " MEM "%{%%k1%}", STORE, EVEX, MASKED(1, 4), .reg = 4,       \
	    SIZES(64, 64))                                                                                             \
	ROW(evex_movdqu8_store, NEED_F | NEED_BW, "vmovdqu8 %%zmm29, " MEM "%{%%k6%}", STORE, EVEX, MASKED(6, 1),      \
	    .reg = 29, SIZES(64, 64))                                                                                  \
	ROW(evex_movdqu16_store, NEED_F | NEED_BW | NEED_VL, "vmovdqu16 %%xmm16, " MEM "%{%%k6%}", STORE, EVEX,        \
	    MASKED(6, 2), .reg = 16, SIZES(16, 16))                                                                    \
	ROW(evex_movsd_store, NEED_F, "vmovsd %%xmm18, " MEM "%{%%k2%}", STORE, EVEX, MASKED(2, 8), .reg = 18,         \
	    SIZES(8, 16))                                                                                              \
	ROW(evex_movlps, NEED_F, "vmovlps " MEM ", %%xmm26, %%xmm9", .op = INSN_VECTOR_LOAD_LOW, EVEX, .reg = 9,       \
	    .reg2 = 26, SIZES(8, 16))                                                                                  \
	ROW(evex_movhps_store, NEED_F, "vmovhps %%xmm27, " MEM, .op = INSN_VECTOR_STORE_HIGH, .access = INSN_WRITE,    \
	    EVEX, .reg = 27, SIZES(8, 16))                                                                             \
	ROW(evex_movddup_m, NEED_F, "vmovddup " MEM ", %%zmm8%{%%k1%}", .op = INSN_VECTOR_DUPLICATE, EVEX,             \
	    MASKED(1, 8), .reg = 8, SIZES(64, 64))                                                                     \
	ROW(evex_movddup_xmm, NEED_F | NEED_VL, "vmovddup " MEM ", %%xmm28%{%%k1%}%{z%}", .op = INSN_VECTOR_DUPLICATE, \
	    EVEX, MASKED(1, 8), ZEROED, .reg = 28, SIZES(8, 16))                                                       \
	ROW(evex_movshdup_z, NEED_F, "vmovshdup " MEM ", %%zmm18%{%%k3%}%{z%}", .op = INSN_VECTOR_DUPLICATE_ODD, EVEX, \
	    MASKED(3, 4), ZEROED, .reg = 18, SIZES(64, 64))                                                            \
	ROW(evex_bcst_ss, NEED_F, "vbroadcastss " MEM ", %%zmm19%{%%k2%}", .op = INSN_VECTOR_BROADCAST, EVEX,          \
	    MASKED(2, 4), .reg = 19, SIZES(4, 64))                                                                     \
	ROW(evex_bcst_b, NEED_F | NEED_BW | NEED_VL, "vpbroadcastb " MEM ", %%ymm9%{%%k2%}%{z%}",                      \
	    .op = INSN_VECTOR_BROADCAST, EVEX, MASKED(2, 1), ZEROED, .reg = 9, SIZES(1, 32))                           \
	ROW(evex_bcst_32x4, NEED_F, "vbroadcastf32x4 " MEM ", %%zmm23%{%%k4%}", .op = INSN_VECTOR_BROADCAST, EVEX,     \
	    MASKED(4, 4), .reg = 23, SIZES(16, 64))                                                                    \
	ROW(evex_bcst_64x4, NEED_F, "vbroadcasti64x4 " MEM ", %%zmm3%{%%k4%}", .op = INSN_VECTOR_BROADCAST, EVEX,      \
	    MASKED(4, 8), .reg = 3, SIZES(32, 64))                                                                     \
	ROW(evex_bcst_32x2, NEED_F | NEED_DQ, "vbroadcasti32x2 " MEM ", %%zmm3%{%%k1%}", .op = INSN_VECTOR_BROADCAST,  \
	    EVEX, MASKED(1, 4), .reg = 3, SIZES(8, 64))                                                                \
	ROW(evex_insert_32x4, NEED_F, "vinsertf32x4 $2, " MEM ", %%zmm30, %%zmm1%{%%k5%}", .op = INSN_VECTOR_INSERT,   \
	    EVEX, MASKED(5, 4), .reg = 1, .reg2 = 30, .imm = 2, SIZES(16, 64))                                         \
	ROW(evex_insert_64x4, NEED_F, "vinserti64x4 $1, " MEM ", %%zmm7, %%zmm25%{%%k5%}%{z%}",                        \
	    .op = INSN_VECTOR_INSERT, EVEX, MASKED(5, 8), ZEROED, .reg = 25, .reg2 = 7, .imm = 1, SIZES(32, 64))       \
	ROW(evex_pinsrb, NEED_F | NEED_BW, "vpinsrb $3, " MEM ", %%xmm17, %%xmm1", .op = INSN_VECTOR_INSERT, EVEX,     \
	    .reg = 1, .reg2 = 17, .imm = 3, SIZES(1, 16))                                                              \
	ROW(evex_extract_32x4, NEED_F, "vextractf32x4 $3, %%zmm20, " MEM "%{%%k1%}", .op = INSN_VECTOR_EXTRACT,        \
	    .access = INSN_WRITE, EVEX, MASKED(1, 4), .reg = 20, .imm = 3, SIZES(16, 64))                              \
	ROW(evex_extract_64x4, NEED_F, "vextracti64x4 $1, %%zmm2, " MEM, .op = INSN_VECTOR_EXTRACT,                    \
	    .access = INSN_WRITE, EVEX, .reg = 2, .imm = 1, SIZES(32, 64))                                             \
	ROW(evex_pextrq, NEED_F | NEED_DQ, "vpextrq $1, %%xmm31, " MEM, .op = INSN_VECTOR_EXTRACT,                     \
	    .access = INSN_WRITE, EVEX, .reg = 31, .imm = 1, SIZES(8, 16))

#endif
