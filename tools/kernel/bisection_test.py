import unittest

from kernel.bisection import BAD, GOOD, SKIP, Contradiction, bisect, verdict


class Bisection(unittest.TestCase):
    def run_on(self, verdicts):
        asked = []

        def test(index):
            asked.append(index)
            return verdicts[index]

        return bisect(len(verdicts), test), asked

    def test_every_place_is_found_in_logarithmically_many_boots(self):
        for count in range(2, 70):
            for first_bad in range(1, count):
                answer, asked = self.run_on([GOOD] * first_bad + [BAD] * (count - first_bad))
                self.assertEqual(
                    (answer.last_good, answer.first_bad, answer.exact), (first_bad - 1, first_bad, True)
                )
                self.assertEqual(len(asked), len(set(asked)))
                self.assertLessEqual(len(asked), 2 + (count - 2).bit_length())

    def test_skips_are_stepped_around(self):
        answer, _ = self.run_on([GOOD, GOOD, SKIP, SKIP, GOOD, BAD, SKIP, BAD])
        self.assertEqual((answer.last_good, answer.first_bad, answer.skipped), (4, 5, []))

    def test_skips_at_the_boundary_leave_a_choice(self):
        answer, _ = self.run_on([GOOD, GOOD, SKIP, SKIP, BAD, BAD])
        self.assertEqual(
            (answer.last_good, answer.first_bad, answer.skipped, answer.exact), (1, 4, [2, 3], False)
        )

    def test_when_all_between_are_skipped_it_ends(self):
        answer, asked = self.run_on([GOOD, *[SKIP] * 9, BAD])
        self.assertEqual((answer.last_good, answer.first_bad, len(asked)), (0, 10, 11))

    def test_ends_that_are_not_as_said_are_told(self):
        for verdicts in ([BAD, BAD], [GOOD, GOOD], [SKIP, BAD], [GOOD, SKIP]):
            with self.assertRaises(Contradiction):
                self.run_on(verdicts)

    def test_a_hang_is_bad_and_what_cannot_be_told_is_skipped(self):
        self.assertEqual([verdict(status) for status in (0, 1, 4, 125, 3)], [GOOD, BAD, BAD, SKIP, SKIP])
