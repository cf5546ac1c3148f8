package webui_test

import (
	"fmt"
	"maps"
	"strings"
	"time"
)

// What is copied in the tests of the pages of copies.

func say2(lang, en, pl string) string {
	if lang == "pl" {
		return pl
	}
	return en
}

func googlePreset(lang string) object {
	return object{
		"id": "google", "name": "Google", "domains": []string{"gmail.com"}, "protocols": object{
			"imap": object{"host": "imap.gmail.com", "port": 993, "security": "tls"},
			"pop3": object{"host": "pop.gmail.com", "port": 995, "security": "tls"},
		}, "auth": []string{"app_password"}, "oauth": false, "help": object{
			"text": "", "steps": []string{say2(lang, "Make an app password there.", "Utwórz tam hasło do aplikacji.")},
			"note": "", "pop3": "", "url": nil, "enable_access_url": nil, "app_password_url": nil,
		},
	}
}

// discovered is what is known of an address.
func discovered(email string) object {
	_, domain, _ := strings.Cut(email, "@")
	found := object{
		"source": "none", "provider": nil, "name": domain, "folder": domain, "protocols": object{}, "username": nil,
		"did_you_mean": nil,
	}
	if domain == "gmail.com" {
		maps.Copy(found, object{
			"source": "preset", "provider": "google", "protocols": googlePreset("en")["protocols"], "username": email,
		})
	}
	return found
}

// endOf is an end of a copy.
func endOf(email, protocol string) object {
	if protocol == "local" {
		return object{
			"email": email, "provider": nil, "protocol": "local", "server": nil, "username": nil, "auth": nil,
		}
	}
	return object{
		"email": email, "provider": "google", "protocol": protocol, "username": email, "auth": "password",
		"server": object{"host": "imap.gmail.com", "port": 993, "security": "tls"},
	}
}

// aCopy is a copy that is queued, but for what is said.
func aCopy(number int, state, title string, further object) object {
	id := newCopyID
	if number > 0 {
		id = fmt.Sprintf("0c7f4f7a-3c1e-4b53-9a67-5d1f0b8a%04d", number)
	}
	c := object{
		"id": id, "source": endOf("anna.nowak@gmail.com", "imap"), "target": endOf(copyUser, "local"), "options": object{
			"folders": object{"include": []string{}, "exclude": []string{}}, "prefix": nil, "start_at": nil,
			"existing": "ignore", "labels": "first", "order": "oldest_first", "verify": "sample", "max_bytes": nil, "since": nil,
			"before": nil, "notify_email": nil, "language": "en", "bytes_per_second": nil,
		},
		"state": state, "title": title, "phase": nil, "reason": nil, "until": nil, "diagnosis": nil,
		"consecutive_failures": 0, "progress": progressAt(0), "totals": totalsAt(0, nil), "grade": nil,
		"created_at": in(-time.Duration(number+3) * time.Hour), "started_at": nil, "ended_at": nil, "credentials_until": nil,
	}
	maps.Copy(c, further)
	return c
}

func progressAt(done int) object {
	return object{
		"folder": "Archive/2023", "messages_done": done, "messages_total": 12_345, "bytes_done": done * 41_000,
		"bytes_total": 506_145_000, "messages_per_minute": 830, "seconds_left": 840,
	}
}

func totalsAt(messages int, further object) object {
	sum := object{
		"folders": 3, "messages": messages, "bytes": messages * 41_000, "already_there": 0, "skipped": 0, "ambiguous": 0,
		"keywords_refused": 0, "moved_or_deleted": 0, "missing": 0, "altered": 0, "verified_by_digest": 0,
	}
	maps.Copy(sum, further)
	return sum
}

func copyQueued(lang string) object {
	return aCopy(0, "queued", say2(lang, "The copy has not begun yet", "Kopiowanie jeszcze się nie rozpoczęło"), nil)
}

func copyRunning(lang string) object {
	return aCopy(1, "running", say2(lang, "Copying messages", "Kopiowanie wiadomości"), object{
		"phase": "copying", "started_at": in(-time.Hour), "progress": progressAt(4_321), "totals": totalsAt(4_321, nil),
	})
}

func copyWaiting(lang string) object {
	return aCopy(2, "waiting", say2(lang, "The new mailbox is full", "Nowa skrzynka jest pełna"), object{
		"reason": "target_full", "until": in(40 * time.Minute), "started_at": in(-time.Hour), "progress": progressAt(4_321),
		"totals": totalsAt(4_321, nil),
	})
}

func copyPaused(lang string) object {
	return aCopy(3, "paused", say2(lang, "The copy is paused", "Kopiowanie jest wstrzymane"), object{
		"started_at": in(-time.Hour), "progress": progressAt(4_321), "totals": totalsAt(4_321, nil),
	})
}

func copyRefused(lang string) object {
	return aCopy(4, "needs_attention", say2(lang, "The copy needs you", "Kopiowanie wymaga twojej uwagi"), object{
		"started_at": in(-time.Hour), "consecutive_failures": 2, "progress": progressAt(4_321),
		"totals": totalsAt(4_321, nil), "diagnosis": object{
			"code": "auth_failed", "title": say2(lang, "It refuses the sign-in", "Odmowa zalogowania"),
			"detail": "NO [AUTHENTICATIONFAILED] Invalid credentials",
			"advice": say2(lang, "Enter it again.", "Wpisz je jeszcze raz."), "retryable": false,
			"since": in(-time.Hour), "side": "source",
		},
	})
}

func copyPerfect(lang string) object {
	return aCopy(5, "completed", say2(lang, "The copy is complete", "Kopiowanie zakończone"), object{
		"started_at": in(-5 * time.Hour), "ended_at": in(-time.Hour), "grade": "perfect", "progress": progressAt(12_345),
		"totals": totalsAt(12_345, nil), "credentials_until": in(23 * time.Hour),
	})
}

func copyRemarks(lang string) object {
	return aCopy(6, "completed_with_warnings",
		say2(lang, "The copy has ended, with remarks", "Kopiowanie zakończone, z uwagami"), object{
			"started_at": in(-5 * time.Hour), "ended_at": in(-time.Hour), "grade": "investigate",
			"progress":          progressAt(12_345),
			"totals":            totalsAt(12_340, object{"skipped": 3, "altered": 3, "moved_or_deleted": 3, "missing": 3}),
			"credentials_until": in(-time.Minute),
		})
}

func copyFailed(lang string) object {
	return aCopy(7, "failed", say2(lang, "The copy has failed", "Kopiowanie się nie powiodło"), object{
		"started_at": in(-5 * time.Hour), "ended_at": in(-time.Hour), "diagnosis": object{
			"code": "server_unavailable", "title": say2(lang, "Its host is out of order", "Awaria"), "detail": "",
			"advice": say2(lang, "Wait some hours.", "Odczekaj."), "retryable": true, "since": nil, "side": "target",
		},
	})
}

func copyCancelled(lang string) object {
	return aCopy(8, "cancelled", say2(lang, "The copy was cancelled", "Kopiowanie anulowano"), object{
		"started_at": in(-5 * time.Hour), "ended_at": in(-time.Hour), "credentials_until": in(23 * time.Hour),
	})
}

func foldersOfCopy() []object {
	f := func(source, target string, renamed any, selected, shared bool, messages, copied, skipped int) object {
		return object{
			"source": source, "target": target, "special_use": nil, "selected": selected, "shared": shared, "renamed": renamed,
			"messages": messages, "copied": copied, "bytes": copied * 41_000, "skipped": skipped,
		}
	}
	return []object{
		f("INBOX", "INBOX", nil, true, false, 10_000, 4_000, 0),
		f("Wysłane", "Sent", "special_use", true, false, 2_000, 319, 2),
		f("Archive/2023", "Archive/2023", nil, true, false, 345, 0, 0), f("Spam", "Spam", nil, false, false, 40, 0, 0),
		f("Żółć", "Żółć", nil, false, true, 99, 0, 0),
	}
}

// planOfCopy has something of everything.
func planOfCopy(lang string) object {
	f := func(source, target string, renamed any, shared, exists bool, messages, large int) object {
		return object{
			"source": source, "target": target, "special_use": nil, "selected": !shared, "shared": shared, "renamed": renamed,
			"exists": exists, "messages": messages, "bytes": messages * 41_000, "too_large": large,
		}
	}
	return object{
		"folders": []object{
			f("INBOX", "INBOX", nil, false, true, 10_000, 1), f("Wysłane", "Sent", "special_use", false, true, 2_000, 1),
			f("Archive/2023", "Archive/2023", nil, false, false, 345, 0),
			f("archive/2023", "archive/2023 (2)", "clash", false, false, 5, 0), f("Żółć", "Żółć", nil, true, false, 99, 0),
		},
		"messages": 12_350, "bytes": 12_350 * 41_000, "too_large": []object{{
			"folder": "INBOX", "size": 73_400_320, "received_at": "2019-05-04T10:00:00Z", "sender": "Jan Żak <jan@example.org>",
			"subject": "Zdjęcia z wakacji", "date": "2019-05-04T10:00:00Z",
		}, {
			"folder": "Wysłane", "size": 52_400_320, "received_at": nil, "sender": nil, "subject": nil, "date": nil,
		}}, "too_large_count": 2, "max_bytes": 26_214_400, "max_bytes_source": "capability", "room": object{
			"fits": "yes", "used_bytes": 1_000_000, "limit_bytes": 2_000_000_000, "used_messages": 12, "limit_messages": nil,
		}, "writable": true, "refused_flags": []string{"\\Draft"}, "refused_keywords": []string{"$Forwarded"},
		"clashes": []object{
			{"folders": []string{"Archive/2023", "archive/2023"}, "target": "Archive/2023"},
		}, "shared": []string{"Żółć"}, "seconds": 5400, "days": 1, "not_included": notIncluded(lang),
	}
}

func notIncluded(lang string) []object {
	return []object{
		{"kind": "calendars", "text": say2(lang, "Calendars and tasks", "Kalendarze i zadania")},
		{"kind": "contacts", "text": say2(lang, "Contacts and address books", "Kontakty i książki adresowe")},
	}
}

// crowdedPlan does not fit, and may not be written.
func crowdedPlan(lang string) object {
	p := planOfCopy(lang)
	p["room"] = object{
		"fits": "no", "used_bytes": 1_900_000_000, "limit_bytes": 2_000_000_000, "used_messages": 12, "limit_messages": 100,
	}
	p["writable"], p["days"] = false, 3
	return p
}

func messageOfCopy(state string, i int, lang string) object {
	m := object{
		"folder": "INBOX", "target_folder": "INBOX", "message": fmt.Sprintf("UID %d", 4711+i), "target_uid": nil,
		"received_at": "2019-05-04T10:00:00Z", "size": 73_400_320, "sha256": nil, "state": state, "diagnosis": nil,
		"sender": "Jan Żak <jan@example.org>", "subject": fmt.Sprintf("Zdjęcia %d", i+1), "date": "2019-05-04T10:00:00Z",
	}
	if state == "skipped" {
		m["diagnosis"] = object{
			"code": "message_failed", "title": say2(lang, "Too large for the new mailbox", "Za duża dla nowej skrzynki"),
			"detail": "NO [TOOBIG] Message too large", "advice": "", "retryable": false, "since": nil,
		}
	}
	return m
}

func reportOf(c object, lang string) object {
	reasons := []object{}
	grade := say2(lang, "Everything is in the new mailbox, exactly as it was in the old one.",
		"Wszystko jest w nowej skrzynce, dokładnie tak, jak było w dotychczasowej.")
	if c["grade"] == "investigate" {
		grade = say2(lang, "Nearly all messages are in the new mailbox. The few that are not are listed with the reason.",
			"Prawie wszystkie wiadomości są w nowej skrzynce. Te nieliczne, których nie ma, są na liście z podaną przyczyną.")
		reasons = []object{{
			"code": "too_large", "title": say2(lang, "Too large for the new mailbox", "Za duże dla nowej skrzynki"),
			"advice":   say2(lang, "Save the attachments from the old mailbox.", "Zapisz załączniki z dotychczasowej skrzynki."),
			"messages": 3,
		}}
	}
	return object{
		"copy": c, "grade": c["grade"], "grade_text": grade, "verified_at": in(-time.Hour), "verify": "sample",
		"folders": foldersOfCopy(), "messages": object{
			"copied": 12_340, "already_there": 0, "skipped": 3, "missing": 0, "altered": 0, "moved_or_deleted": 0,
		}, "reasons": reasons, "keywords": []object{{"keyword": "$Forwarded", "messages": 12}}, "seconds": 7_300,
		"left_out": []string{"Żółć"}, "rewritten": true, "not_included": notIncluded(lang), "next_steps": []string{
			say2(lang, "Look into the new mailbox before you cancel the old one.",
				"Zajrzyj do nowej skrzynki, zanim zrezygnujesz z dotychczasowej."),
		},
	}
}

// publicStatus is what whoever has the code of a copy sees of it.
func publicStatus(c object) object {
	s := object{}
	for _, k := range []string{
		"state", "title", "phase", "reason", "until", "grade", "created_at", "started_at", "ended_at",
	} {
		s[k] = c[k]
	}
	if p, ok := c["progress"].(object); ok {
		s["messages_done"], s["messages_total"] = p["messages_done"], p["messages_total"]
	}
	return s
}
