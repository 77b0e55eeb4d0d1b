/* SPDX-License-Identifier: GPL-2.0-only */
/* page.html in the program: no file that must be found, and none that may be another's. */
	.section .rodata
	.global wlb_page_html
	.global wlb_page_html_end
wlb_page_html:
	.incbin "daemon/page.html"
wlb_page_html_end:
	.byte 0
	.section .note.GNU-stack, "", %progbits
