#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Reads the output of `nm -n` and writes the C file with the symbol table that boot/symbols.h declares. No input, for
# the first of two links, makes an empty table. Of symbols with one address the first global one is kept. The table lies
# behind the text, so the second link moves no function.
set -eu
LC_ALL=C awk '
	function flush_row() {
		if (name != "")
			rows[++count] = sprintf("\t{0x%s, \"%s\"},", address, name)
		name = ""
	}
	ended { next }
	$3 == "image_text_end" { flush_row(); address = $1; name = $3; flush_row(); ended = 1; next }
	$2 !~ /^[Tt]$/ || $3 ~ /[^A-Za-z0-9_.]/ || $3 ~ /^image_/ { next }
	$1 != address { flush_row(); address = $1; name = $3; global = $2 == "T"; next }
	$2 == "T" && !global { name = $3; global = 1 }
	END {
		print "/* SPDX-License-Identifier: MIT */"
		print "#include \"boot/symbols.h\"\n"
		print "const struct symbol symbol_table[] = {"
		for (i = 1; i <= count; i++)
			print rows[i]
		if (!count)
			print "\t{0, \"\"},"
		print "};\n\nconst size_t symbol_count = " count + 0 ";"
	}
'
