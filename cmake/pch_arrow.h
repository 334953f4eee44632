#pragma once
#include <arrow/api.h>

#include "pch_light.h"
