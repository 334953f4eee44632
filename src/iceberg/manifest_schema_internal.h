// The Iceberg schemas of manifest entries and manifest list rows (spec "Manifests",
// "Manifest Lists").
#pragma once

#include "data/type.h"
#include "iceberg/table.h"

namespace weir::iceberg {

// Field ids the reader and the writer share.
namespace entry_id {
inline constexpr int kStatus = 0, kSnapshot = 1, kDataFile = 2, kSequence = 3,
                     kFileSequence = 4;
}
namespace file_id {
inline constexpr int kPath = 100, kFormat = 101, kPartition = 102, kRecords = 103,
                     kBytes = 104, kColumnBytes = 108, kValueCounts = 109,
                     kNullCounts = 110, kLower = 125, kUpper = 128, kKeyMetadata = 131,
                     kSplitOffsets = 132, kContent = 134, kEqualityIds = 135,
                     kNanCounts = 137, kSortOrder = 140, kFirstRowId = 142,
                     kReferencedFile = 143, kContentOffset = 144, kContentBytes = 145;
}
namespace list_id {
inline constexpr int kPath = 500, kBytes = 501, kSpec = 502, kAddedBy = 503,
                     kAddedFiles = 504, kExistingFiles = 505, kDeletedFiles = 506,
                     kPartitions = 507, kSummary = 508, kContainsNull = 509, kLower = 510,
                     kUpper = 511, kAddedRows = 512, kExistingRows = 513,
                     kDeletedRows = 514, kSequence = 515, kMinSequence = 516,
                     kContent = 517, kContainsNan = 518, kKeyMetadata = 519,
                     kFirstRowId = 520;
}

Result<data::Schema> ManifestEntrySchema(const Metadata& metadata,
                                         const PartitionSpec& spec);
data::Schema ManifestListSchema(int format_version);

}  // namespace weir::iceberg
