/* struct error as it comes over the wire. */
#pragma once

#include "error.h"
#include "wire-launch.h"

/* Strings are terminated and the kind is one of ours, whatever came. */
void wire_error_read(const struct wire_error *wire, struct error *ret);
