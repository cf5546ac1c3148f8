package demo

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/emersion/go-imap/v2"
)

const (
	hour = time.Hour
	day  = 24 * time.Hour
)

func seen(more ...imap.Flag) []imap.Flag { return append([]imap.Flag{imap.FlagSeen}, more...) }

// annaSamples is what the IMAP account holds at the start.
func annaSamples() []sample {
	const anna = "Anna Nowak <anna@poczta.example.test>"
	return []sample{
		{
			folder: "INBOX", age: 21 * day, from: "Zespół Poczty <pomoc@poczta.example.test>", subject: "Witamy w Poczcie",
			coding: htmlText, flags: seen(),
			body: "Dzień dobry, Anno!\n\nTwoja skrzynka jest gotowa. Masz w niej 5 GB miejsca.\n\nZespół Poczty\n",
		},
		{
			folder: "INBOX", age: 9 * day, from: "Łukasz Żółć <lukasz.zolc@example.test>", subject: "Żółte łodzie na Wiśle – " +
				"zdjęcia z niedzieli", flags: seen(imap.FlagAnswered, imap.FlagFlagged),
			body: "Cześć Aniu,\n\nprzesyłam zdjęcia z niedzieli. Najlepsze jest to z mostu.\n\nZażółć gęślą jaźń!\nŁukasz\n",
		},
		{
			folder: "INBOX", age: 5 * day, from: "Biblioteka Miejska <wypozyczalnia@biblioteka.example.test>",
			subject: "Przypomnienie o zwrocie książki", coding: latin2Text, flags: seen(),
			body: "Szanowna Czytelniczko,\n\nza trzy dni mija termin zwrotu książki \"Lalka\" (sygnatura 821-3).\nProsimy o " +
				"zwrot lub przedłużenie.\n\nBiblioteka Miejska, ul. Źródlana 4\n",
		},
		{
			folder: "INBOX", age: 50 * hour, from: "Marta Wójcik <marta.wojcik@example.test>", subject: "Spotkanie w czwartek " +
				"o 17:00", coding: quotedText, flags: seen(imap.FlagAnswered),
			body: "Aniu, czy czwartek o 17:00 w kawiarni „Pod Żaglem” Ci pasuje?\n\nJeśli nie, zaproponuj proszę inny " +
				"dzień.\n\nMarta\n",
		},
		{
			folder: "INBOX", age: 26 * hour, from: "Bob O'Neil <bob.oneil@example.test>", subject: "Notes on yesterday's call",
			flags: seen(),
			body: "Hi Anna,\n\nthe three points we agreed on:\n\n.  the contract goes out on Monday\n.. the price list " +
				"follows a week later\n...and nobody mentions the boat\n\nBob\n",
		},
		{
			folder: "INBOX", age: 3 * hour, from: "Sklep Rowerowy <zamowienia@rowery.example.test>",
			subject: "Zamówienie 20431 zostało wysłane", coding: htmlText,
			body: "Twoja paczka jest w drodze.\n\nNumer przesyłki: 0059 0077 3141 2718.\n\nDziękujemy za zakupy!\n",
		},
		{
			folder: "INBOX", age: 40 * time.Minute, from: "山田太郎 <taro.yamada@example.test>", subject: "来週の打ち合わせについて",
			body: "アンナさん\n\n来週の打ち合わせは水曜日の十時でよろしいでしょうか。\n\n山田\n",
		},
		{
			folder: "Sent", age: 8 * day, from: anna, to: "Łukasz Żółć <lukasz.zolc@example.test>",
			subject: "Odp: Żółte łodzie na Wiśle – zdjęcia z niedzieli", flags: seen(),
			body: "Dzięki! To z mostu wieszam na ścianie.\n\nAnna\n",
		},
		{
			folder: "Sent", age: 49 * hour, from: anna, to: "Marta Wójcik <marta.wojcik@example.test>",
			subject: "Odp: Spotkanie w czwartek o 17:00", flags: seen(), body: "Czwartek pasuje, do zobaczenia.\n\nAnna\n",
		},
		{
			folder: "Wysłane", age: 400 * day, from: anna, to: "Jan Kowalski <jan.kowalski@dostawca.example.test>",
			subject: "Przepis na pierogi", flags: seen(),
			body: "Janie,\n\nmąka, woda, sól i cierpliwość. Farsz według uznania.\n\nAnna\n",
		},
		{
			folder: "Drafts", age: 2 * hour, from: anna, to: "Rada Osiedla <rada@osiedle.example.test>",
			subject: "Oświetlenie ulicy Źródlanej", flags: seen(imap.FlagDraft),
			body: "Szanowni Państwo,\n\nzwracam się z prośbą o\n",
		},
		{
			folder: "Faktury", age: 62 * day, from: "Prąd i Światło S.A. <faktury@prad.example.test>",
			subject: "Faktura PS/2024/07/1187", flags: seen(imap.FlagFlagged),
			file: &attachment{"faktura PS-2024-07-1187.pdf", "application/pdf", invoice("Prad i Swiatlo S.A.",
				"Faktura PS/2024/07/1187", "Energia: 214 kWh", "Do zaplaty: 187,40 PLN")},
			body: "Dzień dobry,\n\nw załączniku przesyłamy fakturę za lipiec. Kwota do zapłaty: 187,40 zł.\n\nPrąd i Światło " +
				"S.A.\n",
		},
		{
			folder: "Faktury", age: 31 * day, from: "Prąd i Światło S.A. <faktury@prad.example.test>",
			subject: "Faktura PS/2024/08/1202", flags: seen(),
			file: &attachment{"faktura PS-2024-08-1202 (łącznie).pdf", "application/pdf", invoice("Prad i Swiatlo S.A.",
				"Faktura PS/2024/08/1202", "Energia: 198 kWh", "Do zaplaty: 173,95 PLN")},
			body: "Dzień dobry,\n\nw załączniku przesyłamy fakturę za sierpień. Kwota do zapłaty: 173,95 zł.\n\nPrąd i " +
				"Światło " +
				"S.A.\n",
		},
		{
			folder: "Faktury", age: 4 * day, from: "Księgarnia „Źdźbło” <sklep@zdzblo.example.test>",
			subject: "Faktura za zamówienie 7781", coding: quotedText,
			file: &attachment{
				"pozycje.csv", "text/csv; charset=utf-8",
				[]byte("tytuł;sztuk;cena\nLalka;1;39,90\nFerdydurke;2;34,50\n"),
			},
			body: "Dziękujemy za zakupy w księgarni „Źdźbło”. Zestawienie pozycji w załączniku.\n",
		},
		{
			folder: "Archive/2024", age: 300 * day, from: "Urząd Miasta <kancelaria@miasto.example.test>",
			subject: "Potwierdzenie złożenia wniosku nr 114/2024", flags: seen(),
			body: "Potwierdzamy wpływ wniosku nr 114/2024. Odpowiedź otrzyma Pani w ciągu 30 dni.\n",
		},
		{
			folder: "Archive/2024", age: 290 * day, from: "Σωκράτης <sokratis@example.test>", subject: "Ερώτηση", flags: seen(
				imap.FlagAnswered),
			body: "Αγαπητή Άννα,\n\nτι είναι αρετή;\n\nΣωκράτης\n",
		},
		{
			folder: "Archive/2024", age: 280 * day, from: "Linie Kolejowe <bilety@kolej.example.test>",
			subject: "Bilet Kraków " +
				"Główny – Łódź Fabryczna", coding: latin2Text, flags: seen(),
			file: &attachment{"bilet.pdf", "application/pdf", invoice("Bilet", "Krakow Glowny - Lodz Fabryczna",
				"Wagon 4, miejsce 61")},
			body: "Dziękujemy za zakup biletu. Życzymy miłej podróży!\n",
		},
		{
			folder: "Zażółć gęślą jaźń", age: 14 * day, from: "Chór „Gęśl” <chor@gesl.example.test>", subject: "Próba w środę " +
				"przełożona", flags: seen(),
			body: "Drodzy chórzyści,\n\nśrodowa próba zaczyna się o 19:30, nie o 18:00. Prosimy o nuty do „Bogurodzicy”.\n",
		},
		{
			folder: "Zażółć gęślą jaźń", age: 12 * hour, from: "Chór „Gęśl” <chor@gesl.example.test>",
			subject: "Nuty na koncert świąteczny",
			body:    "W załączeniu lista utworów:\n\n1. Lulajże, Jezuniu\n2. Gdy śliczna Panna\n3. Cicha noc\n",
		},
		{
			folder: "Spam", age: 7 * hour, from: "Wygrana <loteria@spam.example.test>", subject: "GRATULACJE!!! Twoja nagroda " +
				"czeka",
			body: "Kliknij tutaj. Albo lepiej nie.\n",
		},
	}
}

// janSamples is what the POP3 account holds at the start.
func janSamples() []sample {
	return []sample{
		{
			age: 33 * day, from: "Dostawca <kontakt@dostawca.example.test>", subject: "Twoja nowa skrzynka",
			body: "Dzień dobry,\n\nskrzynka jan.kowalski@dostawca.example.test jest czynna.\n",
		},
		{
			age: 12 * day, from: "Elżbieta Mądra <elzbieta.madra@example.test>", subject: "Zdjęcia z wakacji w Świnoujściu",
			coding: quotedText, body: "Janku,\n\nzdjęcia są już w albumie. Łącznie 214 sztuk, ale połowa to mewy.\n\nEla\n",
		},
		{
			age: 6 * day, from: "Gmina Łąck <sekretariat@lack.example.test>", subject: "Harmonogram wywozu odpadów",
			coding: latin2Text, body: "Szanowni Mieszkańcy,\n\nw załączniku harmonogram na kolejny kwartał.\n",
			file: &attachment{"harmonogram.pdf", "application/pdf", invoice("Harmonogram", "Szklo: pierwszy wtorek",
				"Papier: drugi wtorek")},
		},
		{
			age: 2 * day, from: "Alice Example <alice@example.test>", subject: "Re: the bicycle", coding: htmlText,
			body: "Jan,\n\nyes, it is still for sale. The bell is extra.\n\nAlice\n",
		},
		{
			age: 5 * hour, from: "Bank Przykładowy <powiadomienia@bank.example.test>", subject: "Wyciąg z rachunku za ostatni " +
				"miesiąc",
			body: "Dzień dobry,\n\nwyciąg jest dostępny w serwisie internetowym.\n\n.\n\nTo pojedyncza kropka, która nie " +
				"kończy wiadomości.\n",
		},
		{
			age: 20 * time.Minute, from: "Anna Nowak <anna@poczta.example.test>", subject: "Pierogi: pytanie o mąkę",
			body: "Janie, typ 450 czy 500?\n\nAnna\n",
		},
	}
}

// ewaSamples is what the mailbox holds that somebody may add.
func ewaSamples() []sample {
	return []sample{
		{
			age: 4 * day, from: "Zespół Poczty <pomoc@poczta.example.test>", subject: "Witamy w Poczcie", coding: htmlText,
			body: "Dzień dobry, Ewo!\n\nTwoja skrzynka jest gotowa.\n\nZespół Poczty\n",
		},
		{
			age: 2 * hour, from: "Anna Nowak <anna@poczta.example.test>", subject: "Herbata w piątek?",
			body: "Ewo, czy piątek o 16:00 Ci pasuje? Przyniosę szarlotkę.\n\nAnna\n",
		},
	}
}

// freshSample is mail that arrives while the provider runs.
func freshSample(r *rand.Rand, n int) sample {
	samples := []sample{
		{from: "Łukasz Żółć <lukasz.zolc@example.test>", subject: "Kto płynie w sobotę?", body: "Są jeszcze dwa wolne " +
			"miejsca w łodzi.\n\nŁukasz\n"},
		{
			from: "Marta Wójcik <marta.wojcik@example.test>", subject: "Książka dla Ciebie", coding: quotedText,
			body: "Zostawiłam ją w kawiarni „Pod Żaglem”.\n\nMarta\n",
		},
		{
			from: "Serwis Pogodowy <pogoda@example.test>", subject: "Ostrzeżenie: burze z gradem", coding: latin2Text,
			body: "Po południu możliwe burze z gradem. Proszę zabezpieczyć łódki.\n",
		},
		{from: "Bob O'Neil <bob.oneil@example.test>", subject: "One more thing", body: "Forgot to say: the list is " +
			"attached " +
			"to the other message.\n\nBob\n"},
		{
			from: "Prąd i Światło S.A. <faktury@prad.example.test>", subject: "Nowa faktura", body: "W załączniku przesyłamy " +
				"fakturę.\n",
			file: &attachment{"faktura.pdf", "application/pdf", invoice("Prad i Swiatlo S.A.", fmt.Sprintf("Faktura nr %d",
				1200+n))},
		},
		{from: "Chór „Gęśl” <chor@gesl.example.test>", subject: "Zmiana sali", coding: htmlText, body: "Jutrzejsza próba " +
			"odbędzie się w sali nr 3.\n\nDo zobaczenia!\n"},
	}
	s := samples[r.IntN(len(samples))]
	s.subject = fmt.Sprintf("%s (%d)", s.subject, n)
	return s
}
