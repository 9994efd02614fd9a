module jiebang/pause

go 1.26.0
