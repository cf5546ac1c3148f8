package memory_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mailbrook/mailbrook/internal/memory"
)

// What a visit takes is counted for all of them, and comes back when it ends; more than one
// visit may hold is refused at once, however long one would wait.
func ExampleBudget() {
	ctx := context.Background()
	b := memory.New(memory.Least, time.Hour)
	s := b.Share(false, func(error) {})
	fmt.Println(s.Take(ctx, 8<<20), b.Taken()>>20, "MiB")
	fmt.Println(errors.Is(s.Take(ctx, b.Limit()), memory.ErrTooMuch))
	s.Close()
	fmt.Println(b.Taken())
	// Output:
	// <nil> 8 MiB
	// true
	// 0
}
