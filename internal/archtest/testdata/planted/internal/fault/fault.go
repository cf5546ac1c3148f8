// Package fault is not pure.
package fault

import _ "github.com/google/uuid"
