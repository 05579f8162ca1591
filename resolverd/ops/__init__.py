"""What an operator asks of the whole installation, decided without IO: commands read and print, this judges.

- `report`: what a mail log comes to, as text, JSON or a page
- `doctor`: what is wrong with this machine's Postfix, name servers and lists, and what to type
- `maillog`: what the lines of a mail log say
- `replay`: what a configuration would have said to mail that has come already
"""
