package settings

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// fromFile reads the configuration file; "" is one without any key.
func (s Schema[C]) fromFile(ctx context.Context, file string) (Values, error) {
	if file == "" {
		return Values{}, nil
	}
	data, err := readTOML(ctx, file)
	if err != nil {
		return nil, err
	}
	tree := map[string]any{}
	if err := toml.Unmarshal(data, &tree); err != nil {
		var where *toml.DecodeError
		if errors.As(err, &where) {
			row, column := where.Position()
			return nil, fmt.Errorf("%s, line %d, column %d: %w", file, row, column, err)
		}
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	values := Values{}
	return values, s.flatten(ctx, values, file, "", tree)
}

// flatten turns the file's tables into values by key.
func (s Schema[C]) flatten(ctx context.Context, values Values, file, prefix string, tree map[string]any) error {
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		key, value := prefix+name, tree[name]
		if table, ok := value.(map[string]any); ok && slices.ContainsFunc(s.Keys, func(k Key[C]) bool {
			return strings.HasPrefix(k.Name, key+".")
		}) {
			if err := s.flatten(ctx, values, file, key+".", table); err != nil {
				return err
			}
			continue
		}
		if k, ok := s.key(key); ok {
			text, err := k.Kind.text(value)
			if err != nil {
				return fmt.Errorf("%s (from %s) %w", key, file, err)
			}
			values[key] = Value{Text: text, From: file}
			continue
		}
		which, inFile := strings.CutSuffix(key, "_file")
		if k, ok := s.key(which); !ok || !inFile || !k.Secret {
			return s.unknownKey(key, file)
		}
		if _, both := tree[strings.TrimPrefix(which, prefix)]; both {
			return fmt.Errorf("%s and %s (from %s) are both set: keep one", which, key, file)
		}
		path, err := Text.text(value)
		if err != nil {
			return fmt.Errorf("%s (from %s) %w", key, file, err)
		}
		secret, err := readSecret(ctx, path)
		if err != nil {
			return fmt.Errorf("%s (from %s): %w", key, file, err)
		}
		values[which] = Value{Text: secret, From: file, Apart: true}
	}
	return nil
}

// text makes text of a value of the file, if it is of the right kind.
func (k Kind) text(value any) (string, error) {
	switch v := value.(type) {
	case string:
		return v, nil
	case bool:
		if k == Truth {
			return strconv.FormatBool(v), nil
		}
	case int64:
		switch k {
		case Number, List:
			return strconv.FormatInt(v, 10), nil
		case Duration:
			return "", fmt.Errorf("is %d without a unit: write it in quotes with one, as in \"5m\" or \"90s\"", v)
		}
	case []any:
		if k == List {
			parts := make([]string, len(v))
			for i, e := range v {
				p, err := Number.text(e)
				if err != nil {
					return "", fmt.Errorf("has an element that %w", err)
				}
				parts[i] = p
			}
			return strings.Join(parts, ","), nil
		}
	}
	return "", fmt.Errorf("must be %s", map[Kind]string{
		Text: "text in quotes", Number: "a number", Truth: "true or false", Duration: "text in quotes",
		List: "a list, or text with commas between",
	}[k])
}
